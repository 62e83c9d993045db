"""Stage 2: labelled, cleaned rows, in the parts that models learn from, score and are tested on -> data/prepared/."""

from champion.core.files import read_json, read_parquet, replacing, write_json, write_parquet
from champion.core.layout import EXCLUDED, PARAMS, PARTS, PREPARED, RAW, SCHEMA
from champion.core.stage import stage_errors
from champion.core.strict_yaml import read
from champion.pipeline.prepare.params import PrepareParams
from champion.pipeline.prepare.stage import count_rows, describe_columns, describe_label, find_duplicates, prepare


def main() -> None:
    with stage_errors("prepare"):
        params = read(PrepareParams, PARAMS)
        excluded = read_json(EXCLUDED)
        raw, duplicates = find_duplicates(read_parquet(RAW), params)
        label = describe_label(raw, params)
        parts = prepare(raw, params)
        counted = count_rows(parts, params)
        described = {"parts": counted, "excluded": excluded["rows"]}
        if duplicates is not None:
            described["duplicates"] = {"rows": duplicates, "dropped": params.prepare.drop_duplicates}
        with replacing(PREPARED) as draft:
            for path, rows in parts.items():
                write_parquet(draft / path.relative_to(PREPARED), rows)
            write_json(draft / SCHEMA.name, describe_columns(params, excluded["rules"]))
            write_json(draft / PARTS.name, described)
        print(f"label {params.table.label}:", *label, sep="\n  ")
        if duplicates is not None:
            done = "dropped" if params.prepare.drop_duplicates else "kept; `prepare.drop_duplicates` drops them"
            print(f"{duplicates:,} rows equal an earlier row in all columns: {done}")
        for part in counted:
            labelled = part["positives"] is not None and part["rows"]
            positive = f", {part['positives'] / part['rows']:.2%} positive" if labelled else ""
            print(f"{part['part']}: {part['rows']:,} rows{positive}")


if __name__ == "__main__":
    main()
