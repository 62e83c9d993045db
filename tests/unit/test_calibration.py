"""The correction of probabilities, and a model that applies it."""

from dataclasses import replace
from typing import Any, Literal

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import _SigmoidCalibration
from sklearn.isotonic import IsotonicRegression

from champion.model.calibration import Calibration, log_odds
from champion.model.model import Model
from champion.model.model_file import load, save
from unit.test_store import fitted, rows

KINDS: list[Literal["sigmoid", "isotonic"]] = ["sigmoid", "isotonic"]
PROBABILITIES = st.lists(st.floats(0, 1), min_size=1, max_size=40)


def rehearsed(count: int = 3000, odds: float = 0.4) -> tuple[Any, Any]:
    """Scores twice as high as they should be."""
    rng = np.random.default_rng(4)
    probability = rng.uniform(0.02, 0.9, count)
    return (rng.random(count) < probability * odds).astype(np.int8), probability


def test_the_sigmoid_is_platts() -> None:
    target, probability = rehearsed()
    found = Calibration.fit("sigmoid", target, probability)
    # Platt's smoothed targets make a difference of a few rows.
    platt = _SigmoidCalibration().fit(log_odds(probability), target)
    assert found.apply(probability) == pytest.approx(platt.predict(log_odds(probability)), abs=2e-3)


def test_the_isotonic_curve_is_scikit_learns() -> None:
    target, probability = rehearsed()
    found = Calibration.fit("isotonic", target, probability)
    curve = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(probability, target)
    inside = np.linspace(0, 1, 500)
    assert found.apply(inside) == pytest.approx(curve.predict(inside), abs=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_the_mean_of_the_corrected_scores_is_the_observed_rate(kind: Literal["sigmoid", "isotonic"]) -> None:
    target, probability = rehearsed()
    corrected = Calibration.fit(kind, target, probability).apply(probability)
    assert corrected.mean() == pytest.approx(target.mean(), abs=1e-4)


@given(PROBABILITIES, st.sampled_from(KINDS))
def test_a_correction_gives_probabilities_and_turns_no_pair_round(
    scores: list[float], kind: Literal["sigmoid", "isotonic"]
) -> None:
    probability = np.sort(scores)
    corrected = Calibration.fit(kind, *rehearsed()).apply(probability)
    assert ((corrected >= 0) & (corrected <= 1)).all()
    assert (np.diff(corrected) >= 0).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("target", [[0, 1], [1, 0], [0, 0, 0, 1], [1, 1, 0, 0]])
def test_a_few_rows_are_corrected_without_a_warning(kind: Literal["sigmoid", "isotonic"], target: list[int]) -> None:
    probability = np.linspace(0.0, 1.0, len(target))
    found = Calibration.fit(kind, np.array(target, np.int8), probability)
    assert np.isfinite(found.apply(probability)).all()
    assert Calibration.parse(found.describe()) == found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("options", [{}, {"native_categories": True}])
def test_a_calibrated_model_gives_one_row_what_it_gives_the_table(
    kind: Literal["sigmoid", "isotonic"], options: dict[str, Any], tmp_path: Any
) -> None:
    plain = fitted("hist_gradient_boosting", **options)
    calibration = Calibration.fit(kind, *rehearsed())
    save(Model(plain.pipeline, replace(plain.manifest, calibration=calibration)), tmp_path / "model.skops")
    model, table = load(tmp_path / "model.skops"), rows(30).drop("target")
    together = model.predict(table)
    np.testing.assert_array_equal(together, calibration.apply(plain.predict(table)))
    assert [model.predict_row(row) for row in table.iter_rows(named=True)] == together.tolist()
    assert not np.array_equal(together, plain.predict(table))


def test_a_category_not_seen_in_training_is_a_missing_one_for_native_categories() -> None:
    model = fitted("hist_gradient_boosting", native_categories=True)
    table = rows(30).drop("target")
    unseen, missing = (table.with_columns(kind=pl.lit(kind, pl.String)) for kind in ("new", None))
    np.testing.assert_array_equal(model.predict(unseen), model.predict(missing))
