"""Prepared rows: which rows are removed, and what a model could not be made of."""

from datetime import date
from typing import Any

import polars as pl
import pytest

from champion.core.errors import UserError
from champion.core.layout import AT_AS_OF, AT_SPLIT, EARLIER, LABELLED, NEWEST, TEST
from champion.pipeline.prepare.splits import Parts
from champion.pipeline.prepare.stage import count_rows, describe_columns, prepare
from champion.table.columns import FOLD
from champion.table.params import TableParams

COLUMNS: dict[str, Any] = {
    "colour": {"type": "category", "values": ["red", "blue"]},
    "size": {"type": "integer"},
    "answer": {"type": "category", "role": "label"},
}
KEYLESS = TableParams.model_validate(
    {
        "as_of": None,
        "window": None,
        "columns": COLUMNS,
        "label": {"kind": "value", "positive": ["yes", "surely"]},
        "split": {"test_share": 0.5},
    }
)


def dated(**changes: Any) -> TableParams:
    """Models are made on 2020-01-01 and 2021-01-01, each from the year before."""
    return TableParams.model_validate(
        {
            "as_of": "2021-01-01",
            "window": 12,
            "columns": {"day": {"type": "date", "role": "date"}, **COLUMNS},
            "label": {"kind": "value", "positive": ["yes"]},
            "split": {"test": 12},
        }
        | changes
    )


def rows_on(*days: date, answers: str = "yn") -> pl.DataFrame:
    """For each day one row of each answer."""
    words = {"y": "yes", "n": "no", "?": None}
    rows = [(day, "red", number, words[answer]) for number, day in enumerate(days) for answer in answers]
    return pl.DataFrame(rows, schema={"day": pl.Date, **RAW}, orient="row")


RAW = {"colour": pl.String, "size": pl.Int64, "answer": pl.String}


def sides(parts: Parts) -> tuple[pl.DataFrame, pl.DataFrame]:
    return parts[AT_SPLIT / LABELLED].drop(FOLD, strict=False), parts[TEST]


def test_without_an_id_rows_made_equal_by_cleaning_are_never_on_both_sides() -> None:
    """Invalid colours become missing and both answers become 1, so pairs of different raw rows become equal."""
    raw = pl.DataFrame(
        {
            "colour": ["violet"] * 20 + ["green"] * 20,
            "size": [*range(20)] * 2,
            "answer": ["yes" if number % 2 else "no" for number in range(20)]
            + ["surely" if number % 2 else "no" for number in range(20)],
        },
        schema_overrides={"size": pl.Int64},
    )
    train, test = sides(prepare(raw, KEYLESS))
    assert train.height + test.height == 40
    assert train.join(test, on=train.columns, nulls_equal=True).is_empty()


def test_equal_rows_without_an_id_are_all_kept_as_they_are_cases_of_their_own() -> None:
    """Of one negative row of each kind and one positive row, half would be positive instead of a tenth."""
    raw = pl.DataFrame(
        {
            "colour": ["red"] * 800,
            "size": pl.Series([number % 8 for number in range(800)], dtype=pl.Int64),
            "answer": ["yes" if number // 8 % 10 == 0 else "no" for number in range(800)],
        }
    )
    train, test = sides(prepare(raw, KEYLESS))
    assert train.height + test.height == 800
    assert {train["(target)"].mean(), test["(target)"].mean()} == {0.1}


def test_a_row_without_a_date_goes_and_one_without_a_label_is_only_among_the_newest() -> None:
    known = rows_on(date(2019, 5, 1), date(2020, 5, 1))
    raw = pl.concat(
        [known, rows_on(date(2020, 5, 2), answers="?"), known.with_columns(day=None, size=pl.lit(9, pl.Int64))]
    )
    parts = prepare(raw, dated())
    assert {path: part.height for path, part in parts.items()} == {
        AT_SPLIT / LABELLED: 2,
        AT_SPLIT / NEWEST: 2,
        AT_AS_OF / LABELLED: 4,
        AT_AS_OF / NEWEST: 3,
        TEST: 2,
        EARLIER: 2,
    }


def test_parts_have_groups_and_segments_but_neither_label_nor_known() -> None:
    columns = {
        "day": {"type": "date", "role": "date"},
        "shop": {"type": "category", "role": "group"},
        "area": {"type": "category", "role": "segment"},
        "town": {"type": "category", "role": "segment", "feature": True},
        "size": {"type": "integer"},
        "sure": {"type": "boolean", "role": "known"},
        "answer": {"type": "category", "role": "label"},
    }
    raw = rows_on(date(2019, 5, 1), date(2020, 5, 1)).select(
        "day", *(pl.lit("a").alias(name) for name in ("shop", "area", "town")), "size", pl.lit(True).alias("sure"),
        "answer",
    )  # fmt: skip
    params = dated(columns=columns)
    parts, described = prepare(raw, params), describe_columns(params, {})
    assert parts[TEST].columns == ["day", "shop", "area", "town", "size", "(target)"]
    assert [feature["name"] for feature in described["features"]] == ["town", "size"]
    assert (described["group"], described["segments"], described["unknown"]) == ("shop", ["area", "town"], "sure")


SHORT: dict[str, tuple[pl.DataFrame, str]] = {
    "no test row": (rows_on(date(2019, 5, 1)), "test.parquet: there are no rows, so no model can be tested"),
    "one class to test": (
        pl.concat([rows_on(date(2019, 5, 1)), rows_on(date(2020, 5, 1), answers="y")]),
        "test.parquet: all rows have the same label, so no model can be tested",
    ),
    "nothing to learn": (
        rows_on(date(2018, 5, 1), date(2020, 5, 1)),
        "at_split/labelled.parquet: there are no rows, so no model can be trained",
    ),
    "one class to learn": (
        pl.concat([rows_on(date(2019, 5, 1), answers="n"), rows_on(date(2020, 5, 1))]),
        "at_split/labelled.parquet: all rows have the same label, so no model can be trained",
    ),
}


@pytest.mark.parametrize("case", SHORT)
def test_what_gives_no_model_is_a_sentence(case: str) -> None:
    raw, sentence = SHORT[case]
    with pytest.raises(UserError, match=sentence) as error:
        prepare(raw, dated())
    assert str(error.value).endswith("`label` or `ingest.exclude` in params.yaml.")


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        (pl.DataFrame(schema=RAW), "there are no rows"),
        (pl.DataFrame([("red", size, "no") for size in range(40)], schema=RAW, orient="row"), "all rows have the same"),
        (pl.DataFrame([("red", 1, "yes")], schema=RAW, orient="row"), "there are no rows|all rows have the same label"),
    ],
)
def test_a_table_without_dates_that_gives_no_model_is_a_sentence(raw: pl.DataFrame, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        prepare(raw, KEYLESS)


def test_parts_are_counted_with_their_positives_and_dates() -> None:
    params = dated()
    counted = {
        part["part"]: part for part in count_rows(prepare(rows_on(date(2019, 5, 1), date(2020, 5, 1)), params), params)
    }
    test = {"rows": 2, "positives": 1, "first": "2020-05-01", "last": "2020-05-01"}
    assert counted[str(TEST)] == {"part": str(TEST)} | test
    assert counted[str(AT_AS_OF / NEWEST)]["positives"] is None
