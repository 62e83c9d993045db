"""Stage 1: the user's table -> data/raw.parquet."""

from champion.core.files import write_parquet
from champion.core.layout import PARAMS, RAW
from champion.core.stage import progress, stage_errors
from champion.core.strict_yaml import read
from champion.pipeline.ingest.params import IngestParams
from champion.pipeline.ingest.stage import ingest


def main() -> None:
    with stage_errors():
        params = read(IngestParams, PARAMS)
        with progress(f"reading the table (source: {params.ingest.source})"):
            table = ingest(params)
        write_parquet(RAW, table)
        print(f"{RAW}: {table.height:,} rows, {table.width} columns")


if __name__ == "__main__":
    main()
