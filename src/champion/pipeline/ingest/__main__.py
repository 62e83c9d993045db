"""Stage 1: the user's table -> data/raw.parquet."""

from champion.core.errors import one_line_errors
from champion.core.files import write_parquet
from champion.core.layout import PARAMS, RAW
from champion.core.strict_yaml import read
from champion.pipeline.ingest.params import IngestParams
from champion.pipeline.ingest.stage import ingest


def main() -> None:
    with one_line_errors():
        table = ingest(read(IngestParams, PARAMS))
        write_parquet(RAW, table)
        print(f"{RAW}: {table.height:,} rows, {table.width} columns")


if __name__ == "__main__":
    main()
