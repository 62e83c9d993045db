"""Which rows each model learns from and is tested on, with dates and without."""

from datetime import date
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from champion.core.layout import AT_AS_OF, AT_SPLIT, EARLIER, LABELLED, NEWEST, TEST
from champion.pipeline.prepare.labels import label_rows
from champion.pipeline.prepare.splits import Parts, split_by_date, split_by_key
from champion.table.columns import FOLD, TARGET
from champion.table.keys import group_keys, row_keys
from champion.table.params import TableParams
from champion.table.window import shift

LENGTHS = st.integers(1, 6) | st.integers(20, 200).map("{}d".format)
COLUMNS: dict[str, Any] = {
    "key": {"type": "integer", "role": "id"},
    "day": {"type": "date", "role": "date"},
    "amount": {"type": "number"},
    "failed": {"type": "date", "role": "label"},
    "finished": {"type": "boolean", "role": "known"},
}
AS_OF = date(2010, 1, 20)
DAYS = st.lists(st.dates(date(2005, 1, 1), date(2010, 1, 19)), min_size=1, max_size=60)


def dated(**changes: Any) -> TableParams:
    return TableParams.model_validate(
        {
            "as_of": str(AS_OF),
            "window": 12,
            "columns": COLUMNS,
            "label": {"kind": "event", "horizon": 3},
            "split": {"test": 6},
        }
        | changes
    )


def parts_of(days: list[date], params: TableParams, unknown: tuple[int, ...] = ()) -> Parts:
    even = pl.col("key") % 2 == 0
    failed = pl.when(even).then("day") if params.label.kind == "event" else even.cast(pl.Int64)
    table = pl.DataFrame({"key": range(len(days)), "day": days}).with_columns(
        amount=1.0,
        failed=failed,
        finished=~pl.col("key").is_in(unknown),
    )
    labelled = table.with_columns(label_rows(params.table, params.label, params.as_of))
    assert params.calendar is not None
    return split_by_date(labelled, params, params.calendar)


@given(DAYS, LENGTHS, LENGTHS, LENGTHS)
def test_no_part_knows_more_than_its_date(days: list[date], window: Any, horizon: Any, test: Any) -> None:
    params = dated(window=window, label={"kind": "event", "horizon": horizon}, split={"test": test})
    parts, calendar = parts_of(days, params), params.calendar
    assert calendar is not None
    for folder, day in ((AT_SPLIT, calendar.split), (AT_AS_OF, AS_OF)):
        first = calendar.first_trained(calendar.choosing(day)[0])
        expected = [one for one in days if first <= one < day and shift(one, horizon, 1) <= day]
        assert parts[folder / LABELLED]["day"].to_list() == expected
        new = [one for one in days if calendar.first_new(day) <= one < day]
        assert parts[folder / NEWEST]["day"].to_list() == new
        assert TARGET not in parts[folder / NEWEST].columns
    tested = [one for one in days if one >= calendar.split and shift(one, horizon, 1) <= AS_OF]
    assert parts[TEST]["day"].to_list() == tested


@given(DAYS, LENGTHS | st.just(0), LENGTHS)
@example([date(2009, 7, 1)], 0, 6)  # the split date itself
def test_no_test_row_is_in_a_part_that_the_judged_model_may_see(days: list[date], horizon: Any, test: Any) -> None:
    columns = COLUMNS | {"failed": {"type": "integer", "role": "label"}}
    label = {"kind": "value", "positive": [1], "horizon": horizon}
    parts = parts_of(days, dated(columns=columns, label=label, split={"test": test}))
    tested = set(parts[TEST]["key"])
    for path in (AT_SPLIT / LABELLED, AT_SPLIT / NEWEST, EARLIER):
        assert tested.isdisjoint(parts[path]["key"])


def test_a_row_without_a_known_outcome_is_only_among_the_newest() -> None:
    # The split is on 2009-04-01. Of each pair the source does not know the second row's outcome.
    days = [day for day in (date(2008, 12, 15), date(2009, 8, 1), date(2009, 12, 1)) for _ in range(2)]
    parts = parts_of(days, dated(), unknown=(1, 3, 5))
    keys = {path: parts[path]["key"].to_list() for path in parts}
    assert keys == {
        AT_SPLIT / LABELLED: [0],
        AT_SPLIT / NEWEST: [0, 1],
        AT_AS_OF / LABELLED: [0, 2],
        AT_AS_OF / NEWEST: [2, 3, 4, 5],
        TEST: [2],
        EARLIER: [0],
    }


KEYED: dict[str, Any] = {
    "as_of": None,
    "window": None,
    "label": {"kind": "value", "positive": [1]},
    "split": {"test_share": 0.25},
}


def undated(rows: pl.DataFrame, **roles: str) -> Parts:
    columns = {name: {"type": "integer", "role": roles.get(name, "feature")} for name in ("key", "team", "size")}
    params = TableParams.model_validate(KEYED | {"columns": columns | {"y": {"type": "integer", "role": "label"}}})
    return split_by_key(rows, params)


def table(count: int) -> pl.DataFrame:
    rng = np.random.default_rng(count)
    team = pl.Series(rng.integers(0, 40, count)).to_frame("team").select(pl.when(pl.col("team") > 3).then("team"))
    size, target = rng.integers(0, 10**9, count), rng.integers(0, 2, count).astype(np.int8)
    return pl.DataFrame({"key": range(count), "team": team["team"], "size": size, TARGET: target})


def places(parts: Parts, name: str) -> dict[Any, set[Any]]:
    """Where the rows of each value stand: `test`, or the number of the fold."""
    rows = pl.concat(
        [
            parts[TEST].select(name, place=pl.lit("test")),
            parts[AT_SPLIT / LABELLED].select(name, place=pl.col(FOLD).cast(pl.String)),
        ]
    )
    return {value: set(rows.filter(pl.col(name) == value)["place"]) for value in rows[name].drop_nulls().unique()}


def test_without_dates_the_hash_of_the_key_draws_the_share_and_the_folds() -> None:
    parts = undated(table(8000), key="id")
    assert parts[TEST].height == pytest.approx(2000, abs=120)
    folds = parts[AT_SPLIT / LABELLED].group_by(FOLD).len().sort(FOLD)
    assert folds[FOLD].to_list() == [0, 1, 2, 3]
    assert folds["len"].to_list() == pytest.approx([1500] * 4, abs=120)
    assert all(parts[path].is_empty() for path in (AT_SPLIT / NEWEST, AT_AS_OF / LABELLED, AT_AS_OF / NEWEST, EARLIER))


@pytest.mark.parametrize("roles", [{}, {"key": "id"}, {"key": "id", "team": "group"}])
def test_an_appended_row_moves_no_other(roles: dict[str, str]) -> None:
    rows = table(300)
    before, after = (places(undated(some, **roles), "key") for some in (rows.head(200), rows.reverse()))
    assert all(after[key] == place for key, place in before.items())


def test_a_group_stands_in_one_place_and_rows_without_one_are_spread() -> None:
    rows = table(2000)
    parts = undated(rows, key="id", team="group")
    assert all(len(place) == 1 for place in places(parts, "team").values())
    alone = parts[TEST]["team"].null_count() / rows["team"].null_count()
    assert alone == pytest.approx(0.25, abs=0.12)


@given(st.lists(st.none() | st.integers(0, 3), min_size=1, max_size=20))
def test_a_row_without_a_group_shares_its_key_with_no_other(teams: list[int | None]) -> None:
    rows = pl.DataFrame({"key": range(len(teams)), "team": teams}, schema={"key": pl.Int64, "team": pl.Int64})
    keys = group_keys(rows, "team", ["key"])
    for row, team in enumerate(teams):
        same = [other for other, key in enumerate(keys) if key == keys[row]]
        assert same == ([row] if team is None else [other for other, name in enumerate(teams) if name == team])


def test_a_key_stays_the_same_as_a_row_must_not_change_its_side_with_a_version() -> None:
    row = pl.DataFrame({"id": [7], "name": ["é"], "share": [0.1], "day": [date(2020, 1, 2)], "flag": [True]})
    row = row.with_columns(none=None)
    assert row_keys(row, ["id"]).tolist() == [1686023384482870968]
    assert row_keys(row, row.columns).tolist() == [10782578323373371695]
