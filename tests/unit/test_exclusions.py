"""Rules of `ingest.exclude`: a row that meets all conditions of one rule is left out, and counted once."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from champion.core.layout import SOURCE
from champion.pipeline.ingest.params import IngestParams
from champion.pipeline.ingest.stage import ingest
from champion.table.exclusions import (
    Bounds,
    describe_exclusions,
    excluding_rule,
    excluding_rule_of_row,
    parse_exclusions,
)

ROWS = [
    # share, amount, kind, sure
    (1.0, 50_000.0, "a", True),
    (1.0, 35_000.0, "a", True),
    (0.9, 50_000.0, "b", False),
    (None, 50_000.0, "b", None),
    (1.0, None, None, True),
]

TYPES = {"share": pl.Float64, "amount": pl.Int64, "kind": pl.String, "sure": pl.Boolean, "flag": pl.Int8}
NUMBERS = st.integers(-2, 2) | st.sampled_from([-0.5, 0.5, 1.0, 2.0**53])
CONDITIONS = {
    "share": NUMBERS
    | st.builds(Bounds, above=NUMBERS.map(float))
    | st.builds(Bounds, above=st.none(), below=st.just(1)),
    "amount": NUMBERS | st.just(Bounds(above=-1, below=2)),
    "kind": st.sampled_from(["a", "b", "", "1"]),
    "sure": st.booleans(),
    "flag": st.booleans(),
}
RULES = st.dictionaries(st.text(max_size=2), st.fixed_dictionaries({}, optional=CONDITIONS).filter(bool), max_size=4)
VALUES = st.tuples(
    st.none() | NUMBERS.map(float) | st.floats(),
    st.none() | st.integers(-2, 2) | st.integers(2**53 - 1, 2**53 + 1),
    st.none() | st.sampled_from(["a", "b", "", "1"]) | st.text(max_size=1),
    st.none() | st.booleans(),
    st.none() | st.integers(0, 1),
)


def kept(rules: dict[str, Any], folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[list[int], dict[str, int]]:
    """The numbers of the rows that stay, and how many each rule left out."""
    monkeypatch.chdir(folder)
    SOURCE.mkdir(parents=True, exist_ok=True)
    table = pl.DataFrame(ROWS, schema=["share", "amount", "kind", "sure"], orient="row").with_columns(
        row=pl.int_range(pl.len()), day=date(2020, 1, 1), failed=pl.lit(None, pl.Date)
    )
    table.write_parquet(SOURCE / "t.parquet")
    params = IngestParams.model_validate(
        {
            "as_of": "2021-01-01",
            "window": 12,
            "ingest": {"source": "file", "path": "t.parquet", "exclude": rules},
            "columns": {
                "share": {"type": "number"},
                "amount": {"type": "number"},
                "kind": {"type": "category"},
                "sure": {"type": "boolean"},
                "row": {"type": "integer", "role": "id"},
                "day": {"type": "date", "role": "date"},
                "failed": {"type": "date", "role": "label"},
            },
            "label": {"kind": "event", "horizon": 6},
            "split": {"test": 6},
        }
    )
    found, excluded = ingest(params)
    return found["row"].to_list(), excluded


@pytest.mark.parametrize(
    ("rules", "rows", "excluded"),
    [
        ({}, [0, 1, 2, 3, 4], {}),
        ({"one": {"share": 1, "amount": {"above": 35_000}}}, [1, 2, 3, 4], {"one": 1}),
        ({"one": {"share": 1}}, [2, 3], {"one": 3}),
        ({"one": {"amount": {"above": 34_999, "below": 50_000}}}, [0, 2, 3, 4], {"one": 1}),
        ({"one": {"amount": {"below": 50_000.5}}}, [4], {"one": 4}),
        ({"one": {"kind": "b"}, "two": {"sure": False}}, [0, 1, 4], {"one": 2, "two": 0}),
        ({"two": {"sure": False}, "one": {"kind": "b"}}, [0, 1, 4], {"two": 1, "one": 1}),
        ({"one": {"sure": True, "kind": "b"}}, [0, 1, 2, 3, 4], {"one": 0}),
        ({"one": {"row": {"above": 2}}}, [0, 1, 2], {"one": 2}),
    ],
)
def test_rows_that_meet_all_conditions_of_a_rule_are_left_out(
    rules: dict[str, Any], rows: list[int], excluded: dict[str, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert kept(rules, tmp_path, monkeypatch) == (rows, excluded)


def parse(rules: dict[str, Any]) -> IngestParams:
    source = {"source": "file", "path": "t.parquet", "exclude": rules}
    return IngestParams.model_validate(
        {
            "as_of": None,
            "window": None,
            "ingest": source,
            "columns": {
                "share": {"type": "number"},
                "amount": {"type": "number"},
                "kind": {"type": "category"},
                "sure": {"type": "boolean"},
                "bad": {"type": "boolean", "role": "label"},
            },
            "label": {"kind": "value", "positive": [True]},
            "split": {"test_share": 0.2},
        }
    )


def test_rules_are_described_as_they_were_written() -> None:
    rules = {"one": {"share": 1, "kind": "a", "sure": True, "amount": {"above": 35_000.0}}}
    assert describe_exclusions(parse(rules).ingest.exclude) == rules


def test_a_rule_about_the_outcome_is_a_sentence() -> None:
    with pytest.raises(
        ValueError, match=r"ingest\.exclude\.one\.bad: a new row has no outcome yet, so no rule can read it"
    ):
        parse({"one": {"bad": True}})


@given(st.lists(VALUES, max_size=6), RULES)
def test_a_row_alone_meets_the_rule_that_it_meets_in_a_table(values: list[Any], rules: Any) -> None:
    table = pl.DataFrame(values, schema=TYPES, orient="row")
    found = table.select(excluding_rule(rules)).to_series()
    assert found.dtype == pl.String
    assert [excluding_rule_of_row(row, rules) for row in table.iter_rows(named=True)] == found.to_list()


@pytest.mark.parametrize(
    ("values", "met"),
    [
        ({"sure": 1, "kind": "a"}, "sure a"),
        ({"sure": True, "kind": "b"}, None),
        ({"sure": False, "kind": "a"}, None),
        ({"kind": "a"}, None),
        ({"share": None}, None),
        ({"share": float("nan")}, None),
        ({"share": 1.5}, None),
        ({"share": 10**400}, "large"),
        ({"share": "2"}, None),
        ({"share": 2, "sure": 1.0, "kind": "a"}, "sure a"),
        ({"kind": 7}, "seven"),
    ],
)
def test_the_first_rule_that_a_row_meets_is_told(values: dict[str, Any], met: str | None) -> None:
    rules = parse_exclusions(
        {"sure a": {"sure": True, "kind": "a"}, "large": {"share": {"above": 1.5}}, "seven": {"kind": "7"}}
    )
    assert excluding_rule_of_row(values, rules) == met


@given(RULES)
def test_described_rules_are_read_as_they_were(rules: Any) -> None:
    assert parse_exclusions(json.loads(json.dumps(describe_exclusions(rules)))) == rules


@pytest.mark.parametrize("described", [{"one": {}}, {"one": {"share": {"over": 1}}}, {"one": {"share": [1]}}, ["one"]])
def test_what_is_no_rule_is_refused(described: Any) -> None:
    with pytest.raises(ValueError, match=r"validation error"):
        parse_exclusions(described)
