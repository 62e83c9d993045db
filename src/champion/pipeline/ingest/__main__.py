"""Stage 1: the user's table -> data/raw.parquet, data/excluded.json."""

from champion.core.files import write_json, write_parquet
from champion.core.layout import EXCLUDED, PARAMS, RAW
from champion.core.stage import progress, stage_errors
from champion.core.strict_yaml import read
from champion.pipeline.ingest.params import IngestParams
from champion.pipeline.ingest.stage import ingest
from champion.table.exclusions import describe_exclusions
from champion.table.text_form import describe_form


def main() -> None:
    with stage_errors("ingest"):
        params = read(IngestParams, PARAMS)
        with progress(f"reading the table (source: {params.ingest.source})"):
            table, excluded = ingest(params)
        write_parquet(RAW, table)
        form = describe_form(params.ingest)
        described = {"rules": describe_exclusions(params.ingest.exclude), "rows": excluded}
        write_json(EXCLUDED, described | ({"form": form} if form else {}))
        print(f"{RAW}: {table.height:,} rows, {table.width} columns")
        for name, rows in excluded.items():
            print(f"  excluded as {name}: {rows:,} rows")


if __name__ == "__main__":
    main()
