"""Preprocessing learns only from training rows, and accepts any values in later rows."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from champion.model.features import build_preprocessor
from champion.table.features import Feature

NUMBER, CATEGORY = Feature(name="amount", type="number"), Feature(name="kind", type="category")
TRAIN = pd.DataFrame({"amount": [1.0, 3.0, np.nan, 11.0], "kind": ["a", "b", np.nan, "a"]}).astype({"kind": object})


def transformed(
    train: pd.DataFrame,
    rows: pd.DataFrame,
    features: list[Feature],
    *,
    for_trees: bool = True,
    scale: bool = False,
    max_categories: int = 100,
) -> NDArray[np.float64]:
    preprocessor = build_preprocessor(features, for_trees=for_trees, scale=scale, max_categories=max_categories)
    result: NDArray[np.float64] = preprocessor.fit(train).transform(rows).astype(float)
    return result


def rows_of(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame(columns).astype({"kind": object})


def test_missing_numbers_become_the_training_median_and_are_marked() -> None:
    later = rows_of(amount=[np.nan, 100.0], kind=["a", "a"])
    assert transformed(TRAIN, later, [NUMBER], for_trees=False).tolist() == [[3.0, 1.0], [100.0, 0.0]]


def test_boosting_sees_numbers_as_they_are() -> None:
    later = rows_of(amount=[np.nan, 100.0], kind=["a", "a"])
    np.testing.assert_array_equal(transformed(TRAIN, later, [NUMBER]), [[np.nan], [100.0]])


def test_scaling_uses_the_training_rows_mean_and_deviation() -> None:
    later = rows_of(amount=[4.5, 1000.0], kind=["a", "a"])
    amounts = transformed(TRAIN, later, [NUMBER], for_trees=False, scale=True)[:, 0]
    values = np.array([1, 3, 3, 11])
    assert amounts == pytest.approx((np.array([4.5, 1000]) - values.mean()) / values.std())


def test_a_category_not_seen_in_training_counts_as_missing() -> None:
    codes = transformed(TRAIN, rows_of(amount=[1, 1, 1, 1], kind=["a", "b", "new", np.nan]), [CATEGORY])[:, 0]
    assert codes[:2].tolist() == [0.0, 1.0]
    assert np.isnan(codes[2:]).all()


def test_one_hot_categories_have_a_column_each_and_an_unseen_one_has_none() -> None:
    later = rows_of(amount=[1, 1, 1, 1], kind=["a", "b", np.nan, "new"])
    hot = transformed(TRAIN, later, [CATEGORY], for_trees=False)
    assert hot.tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]]


@pytest.mark.parametrize("for_trees", [True, False])
def test_rare_categories_share_one_code(for_trees: bool) -> None:
    train = pd.DataFrame({"kind": ["a"] * 5 + ["b"] * 4 + ["c", "d", "e"]}).astype(object)
    later = pd.DataFrame({"kind": ["a", "b", "c", "d", "e"]}).astype(object)
    codes = transformed(train, later, [CATEGORY], for_trees=for_trees, max_categories=3)
    assert len(np.unique(codes, axis=0)) == 3
    assert len(np.unique(codes[2:], axis=0)) == 1


def test_an_unseen_category_joins_the_shared_rest_when_one_hot() -> None:
    train = pd.DataFrame({"kind": ["a"] * 5 + ["b"] * 4 + ["c", "d"]}).astype(object)
    later = pd.DataFrame({"kind": ["c", "new"]}).astype(object)
    codes = transformed(train, later, [CATEGORY], for_trees=False, max_categories=3)
    assert (codes[0] == codes[1]).all()


def test_categories_come_before_numbers_whatever_their_order_in_the_table() -> None:
    both = transformed(TRAIN, TRAIN, [NUMBER, CATEGORY])
    assert both[0].tolist() == [0.0, 1.0]


@pytest.mark.parametrize("features", [[NUMBER], [CATEGORY], [NUMBER, CATEGORY]])
@pytest.mark.parametrize("for_trees", [True, False])
def test_all_missing_columns_keep_their_place(features: list[Feature], for_trees: bool) -> None:
    empty = pd.DataFrame({"amount": [np.nan] * 4, "kind": [np.nan] * 4}).astype({"kind": object})
    result = transformed(empty, TRAIN, features, for_trees=for_trees)
    assert result.shape[0] == 4
    assert result.shape[1] >= len(features)


def test_columns_that_are_no_features_and_their_order_do_not_matter() -> None:
    shuffled = TRAIN.assign(other="x")[["other", "kind", "amount"]]
    one = transformed(TRAIN, TRAIN, [NUMBER, CATEGORY])
    other = transformed(TRAIN, shuffled, [NUMBER, CATEGORY])
    np.testing.assert_array_equal(one, other)
