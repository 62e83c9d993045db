"""Which values of a label count as 1 and 0, and the sentence about a label that nobody can read so."""

from datetime import date
from typing import Any

import polars as pl
import pytest

from champion.core.errors import UserError
from champion.pipeline.prepare.params import PrepareParams
from champion.pipeline.prepare.stage import describe_label, find_duplicates, label_and_clean
from champion.table.columns import TARGET
from champion.table.params import TableParams

STATUS = ["paid"] * 5 + ["lost"] * 3 + ["open"] * 2 + [None]


def described(label: dict[str, Any], kind: str = "category", **sections: Any) -> PrepareParams:
    columns = {"size": {"type": "integer"}, "status": {"type": kind, "role": "label"}}
    undated: dict[str, Any] = {"as_of": None, "window": None, "split": {"test_share": 0.2}, "columns": columns}
    return PrepareParams.model_validate(undated | {"label": {"kind": "value", **label}} | sections)


def table(values: list[Any]) -> pl.DataFrame:
    return pl.DataFrame({"size": range(len(values)), "status": values})


def refusal(values: list[Any], label: dict[str, Any], kind: str = "category") -> str:
    with pytest.raises(UserError) as error:
        describe_label(table(values), described(label, kind))
    said = str(error.value)
    assert "\n" not in said
    assert said.endswith(".")
    return said


def test_more_than_two_values_are_refused_and_listed_with_their_counts() -> None:
    said = refusal(STATUS, {"positive": ["lost"]})
    assert "the label column 'status' holds 2 values that are not in `label.positive`" in said
    assert "It holds 'paid' (5 rows), 'lost' (3 rows), 'open' (2 rows)." in said
    assert "`label.negative`" in said


def test_more_than_two_numbers_are_refused_too() -> None:
    assert "It holds '0' (2 rows), '1' (1 rows), '2' (1 rows)" in refusal([0, 0, 1, 2], {"positive": [1]}, "integer")


def test_with_declared_negatives_every_other_value_has_no_label() -> None:
    params = described({"positive": ["lost"], "negative": ["paid"]})
    assert describe_label(table(STATUS), params) == [
        "'paid' (0): 5 rows", "'lost' (1): 3 rows", "'open' (no label): 2 rows", "missing (no label): 1 rows",
    ]  # fmt: skip
    assert label_and_clean(table(STATUS), params)[TARGET].to_list() == [0] * 5 + [1] * 3 + [None] * 3


def test_several_positive_values_and_one_other_are_two_classes() -> None:
    lines = describe_label(table(STATUS), described({"positive": ["lost", "open"]}))
    assert [line.partition(":")[0] for line in lines] == [
        "'paid' (0)", "'lost' (1)", "'open' (1)", "missing (no label)",
    ]  # fmt: skip


@pytest.mark.parametrize("key", ["positive", "negative"])
def test_a_wrong_value_lists_the_values_that_are_found(key: str) -> None:
    said = refusal(STATUS, {"positive": ["lost"], "negative": ["paid"]} | {key: ["Lost"]})
    assert (
        f"the label column 'status' holds no value of `label.{key}` ('Lost'). It holds 'paid' (5 rows), 'lost'" in said
    )


def test_no_value_counts_as_both() -> None:
    with pytest.raises(ValueError, match="'lost' cannot be both `positive` and `negative`"):
        described({"positive": ["lost"], "negative": ["paid", "lost"]})


def test_a_label_of_a_million_values_is_a_short_sentence() -> None:
    values = [f"{number}{'x' * 1000}" for number in range(5000)]
    said = refusal(values, {"positive": [values[0]]})
    assert "and 4,990 more" in said
    assert len(said) < 2000
    lines = describe_label(table(values), described({"positive": values[:1], "negative": values[1:2]}))
    assert len(lines) == 10
    assert lines[-1] == "4,991 other values: 4,991 rows"


def test_rows_whose_outcome_is_unknown_do_not_count() -> None:
    columns = {
        "size": {"type": "integer"},
        "status": {"type": "category", "role": "label"},
        "sure": {"type": "boolean", "role": "known"},
    }
    params = described({"positive": ["lost"]}, columns=columns)
    raw = table(STATUS).with_columns(sure=pl.col("status") != "open")
    assert describe_label(raw, params) == ["'paid' (0): 5 rows", "'lost' (1): 3 rows"]


def test_an_event_label_has_a_date_or_none() -> None:
    columns = {
        "size": {"type": "integer"},
        "day": {"type": "date", "role": "date"},
        "lost": {"type": "date", "role": "label"},
    }
    dated: dict[str, Any] = {"as_of": "2021-01-01", "window": 12, "split": {"test": 6}, "columns": columns}
    params = TableParams.model_validate(dated | {"label": {"kind": "event", "horizon": 6}})
    raw = pl.DataFrame({"lost": [None, date(2020, 1, 1), None]})
    assert describe_label(raw, params) == ["a date: 1 rows", "no date: 2 rows"]


@pytest.mark.parametrize(("drop", "rows"), [(False, 5), (True, 3)])
def test_duplicates_are_counted_and_kept_unless_they_are_to_be_dropped(drop: bool, rows: int) -> None:
    raw = pl.DataFrame({"size": [1, 2, 1, 1, None], "status": ["a", "a", "a", "a", None]})
    params = described({"positive": ["a"]}, prepare={"drop_duplicates": drop})
    kept, duplicates = find_duplicates(raw, params)
    assert (kept.height, duplicates) == (rows, 2)
    assert kept["size"].to_list()[:2] == [1, 2]


def test_rows_with_an_id_are_no_duplicates() -> None:
    columns = {"size": {"type": "integer"}, "status": {"type": "category", "role": "label"}}
    params = described(
        {"positive": ["a"]},
        columns={"key": {"type": "integer", "role": "id"}, **columns},
        prepare={"drop_duplicates": True},
    )
    raw = pl.DataFrame({"key": [1, 1], "size": [1, 1], "status": ["a", "a"]})
    kept, duplicates = find_duplicates(raw, params)
    assert (kept.height, duplicates) == (2, None)
