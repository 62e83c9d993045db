"""Every row trains or is held out, and never both."""

from datetime import date, timedelta

import polars as pl
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from champion.core.errors import UserError
from champion.pipeline.prepare.params import Split
from champion.pipeline.prepare.splits import split_rows
from champion.table.columns import TARGET

BOUNDARY = date(2005, 1, 1)
DATED = st.lists(
    st.tuples(st.dates(date(2004, 1, 1), date(2005, 12, 31)), st.integers(0, 1)), min_size=8, max_size=80
).map(lambda rows: pl.DataFrame(rows, schema={"day": pl.Date, TARGET: pl.Int8}, orient="row"))
TARGETS = st.tuples(st.integers(5, 200), st.integers(5, 200), st.randoms(use_true_random=False))


def shuffled(zeros: int, ones: int, random) -> pl.DataFrame:  # type: ignore[no-untyped-def]
    target = [0] * zeros + [1] * ones
    random.shuffle(target)
    return pl.DataFrame({TARGET: target}, schema={TARGET: pl.Int8})


def table_of(days: list[date], target: list[int]) -> pl.DataFrame:
    return pl.DataFrame({"day": days, TARGET: target}, schema={"day": pl.Date, TARGET: pl.Int8})


@given(DATED)
def test_held_out_rows_are_exactly_those_dated_at_or_after_the_boundary(table: pl.DataFrame) -> None:
    later = table["day"] >= BOUNDARY
    assume(all(table.filter(side)[TARGET].n_unique() == 2 for side in (later, ~later)))
    held_out = split_rows(table, Split(strategy="out_of_time"), "day", BOUNDARY)
    train, test = table.filter(~held_out), table.filter(held_out)
    assert train.height + test.height == table.height
    assert test["day"].min() >= BOUNDARY > train["day"].max()


@given(TARGETS, st.floats(0.1, 0.9), st.integers(0, 1000))
def test_a_stratified_split_holds_out_the_share_of_each_class(
    target: tuple[int, int, object], share: float, seed: int
) -> None:
    table = shuffled(*target)  # type: ignore[arg-type]
    split = Split(strategy="stratified", test_share=share, seed=seed)
    assume(min(target[0], target[1]) * min(share, 1 - share) >= 2)
    held_out = split_rows(table, split, None, None)
    assert held_out.dtype == pl.Boolean
    assert len(held_out) == table.height
    assert abs(held_out.sum() - share * table.height) <= 1
    for value in (0, 1):
        rows = table[TARGET] == value
        assert abs((held_out & rows).sum() - share * rows.sum()) <= 2
    assert split_rows(table, split, None, None).equals(held_out)


def test_another_seed_is_another_split() -> None:
    table = pl.DataFrame({TARGET: [0, 1] * 100}, schema={TARGET: pl.Int8})
    splits = [split_rows(table, Split(strategy="stratified", seed=seed), None, None) for seed in (1, 2)]
    assert not splits[0].equals(splits[1])


@pytest.mark.parametrize(
    ("days", "target", "expected"),
    [
        ([1, 2], [0, 1], "the training split has no rows"),
        ([-2, -1], [0, 1], "the held-out split has no rows"),
        ([-2, -1, 1, 2], [0, 0, 0, 1], "the training split has rows of only one class"),
        ([-2, -1, 1, 2], [0, 1, 1, 1], "the held-out split has rows of only one class"),
    ],
)
def test_a_side_that_cannot_be_used_is_refused(days: list[int], target: list[int], expected: str) -> None:
    table = table_of([BOUNDARY + timedelta(days=day) for day in days], target)
    with pytest.raises(UserError, match=expected):
        split_rows(table, Split(strategy="out_of_time"), "day", BOUNDARY)


@pytest.mark.parametrize("target", [[0, 0, 0, 0], [1, 1, 1], [0, 0, 0, 1]])
def test_stratifying_needs_two_rows_of_each_class(target: list[int]) -> None:
    table = pl.DataFrame({TARGET: target}, schema={TARGET: pl.Int8})
    with pytest.raises(UserError, match="each class needs at least two rows"):
        split_rows(table, Split(strategy="stratified"), None, None)


def test_too_few_rows_to_stratify_are_refused() -> None:
    table = pl.DataFrame({TARGET: [0, 0, 1, 1]}, schema={TARGET: pl.Int8})
    with pytest.raises(UserError, match="4 rows are too few to hold out 1% of each class"):
        split_rows(table, Split(strategy="stratified", test_share=0.01), None, None)
