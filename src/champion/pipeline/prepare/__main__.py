"""Stage 2: labelled, cleaned rows, in the parts that models learn from, score and are tested on -> data/prepared/."""

from champion.core.files import read_json, read_parquet, replacing, write_json, write_parquet
from champion.core.layout import EXCLUDED, PARAMS, PARTS, PREPARED, RAW, SCHEMA
from champion.core.stage import stage_errors
from champion.core.strict_yaml import read
from champion.pipeline.prepare.stage import count_rows, describe_columns, prepare
from champion.table.params import TableParams


def main() -> None:
    with stage_errors("prepare"):
        params = read(TableParams, PARAMS)
        excluded = read_json(EXCLUDED)
        parts = prepare(read_parquet(RAW), params)
        counted = count_rows(parts, params)
        with replacing(PREPARED) as draft:
            for path, rows in parts.items():
                write_parquet(draft / path.relative_to(PREPARED), rows)
            write_json(draft / SCHEMA.name, describe_columns(params, excluded["rules"]))
            write_json(draft / PARTS.name, {"parts": counted, "excluded": excluded["rows"]})
        for part in counted:
            labelled = part["positives"] is not None and part["rows"]
            positive = f", {part['positives'] / part['rows']:.2%} positive" if labelled else ""
            print(f"{part['part']}: {part['rows']:,} rows{positive}")


if __name__ == "__main__":
    main()
