"""Stage 2: labelled, cleaned rows, split into training and held-out -> data/prepared/."""

from champion.core.files import read_parquet, replacing, write_json, write_parquet
from champion.core.layout import PARAMS, PREPARED, RAW, SCHEMA, TEST, TRAIN
from champion.core.stage import stage_errors
from champion.core.strict_yaml import read
from champion.pipeline.prepare.params import PrepareParams
from champion.pipeline.prepare.stage import describe, prepare
from champion.table.columns import TARGET


def main() -> None:
    with stage_errors():
        params = read(PrepareParams, PARAMS)
        train, test = prepare(read_parquet(RAW), params)
        with replacing(PREPARED) as draft:
            write_parquet(draft / TRAIN.name, train)
            write_parquet(draft / TEST.name, test)
            write_json(draft / SCHEMA.name, describe(train, test, params))
        for path, rows in ((TRAIN, train), (TEST, test)):
            print(f"{path}: {rows.height:,} rows, {rows[TARGET].sum() / rows.height:.2%} positive")


if __name__ == "__main__":
    main()
