"""Stage `table`: every row of the replay, labelled and cleaned once -> data/table.parquet, data/schema.json."""

from datetime import date

from champion.core.errors import UserError
from champion.core.files import write_json, write_parquet
from champion.core.stage import progress, stage_errors
from champion.core.strict_yaml import read
from champion.pipeline.ingest.params import IngestParams
from champion.pipeline.ingest.stage import ingest
from champion.pipeline.prepare.stage import describe_columns, label_and_clean
from champion.retraining.replay.layout import PARAMS, ROOT, SCHEMA, TABLE
from champion.retraining.replay.params import Dates
from champion.table.window import shift


def main() -> None:
    with stage_errors("table"):
        dates, params = read(Dates, PARAMS), read(IngestParams, ROOT / "params.yaml")
        if params.calendar is None:
            raise UserError("params.yaml: the table has no column with the role date, so nothing can be replayed.")
        params = params.model_copy(update={"as_of": dates.until})
        with progress("reading the table once for all quarters"):
            raw, _ = ingest(params, ROOT, oldest_row(dates, params))
            rows = label_and_clean(raw, params)
        write_parquet(TABLE, rows)
        write_json(SCHEMA, describe_columns(params, {}))
        print(f"{TABLE}: {rows.height:,} rows")


def oldest_row(dates: Dates, params: IngestParams) -> date:
    """The date of the oldest row from which a model learns."""
    first = min(dates.quarters)
    return min(shift(shift(first, params.label.horizon, -1), params.window or 0, -1), first)


if __name__ == "__main__":
    main()
