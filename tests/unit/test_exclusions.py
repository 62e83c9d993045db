"""Rules of `ingest.exclude`: a row that meets all conditions of one rule is left out, and counted once."""

from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from champion.core.layout import SOURCE
from champion.pipeline.ingest.params import IngestParams
from champion.pipeline.ingest.stage import ingest
from champion.table.exclusions import describe_exclusions

ROWS = [
    # share, amount, kind, sure
    (1.0, 50_000.0, "a", True),
    (1.0, 35_000.0, "a", True),
    (0.9, 50_000.0, "b", False),
    (None, 50_000.0, "b", None),
    (1.0, None, None, True),
]


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
