"""Reasons are Shapley values between a row and its reference row, as SHAP and the definition give them."""

import math
import warnings
from itertools import permutations
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LinearRegression, LogisticRegression

from champion.model import reasons
from champion.model.calibration import Calibration
from champion.model.fitting import fit_pipeline
from champion.model.manifest import Manifest
from champion.model.model import Model
from champion.model.onnx_scorer import OnnxScorer
from champion.model.reasons import explain, rows_to_score, shapley_values
from champion.model.recipe import Recipe
from champion.model.reference_row import typical_row
from champion.pipeline.export.graph import to_onnx
from champion.table.columns import TARGET
from champion.table.dataset import Dataset, Schema
from champion.table.features import Feature

FEATURES = [
    Feature(name="region", type="category", values=("north", "south", "east")),
    Feature(name="income", type="number"),
    Feature(name="visits", type="integer", range=(0, 20)),
    Feature(name="member", type="boolean"),
    Feature(name="town", type="category"),
]
ROWS = 500
RECIPES: dict[str, dict[str, Any]] = {
    "boosting": {"estimator": "hist_gradient_boosting", "hist_gradient_boosting": {"max_iter": 20}},
    "a forest": {"estimator": "random_forest", "random_forest": {"n_estimators": 15, "min_samples_leaf": 2}},
    "a logistic regression": {"estimator": "logistic_regression"},
}
REFERENCE = {"region": "north", "income": 0.1, "visits": 3, "member": True, "town": None}
OTHER = {"region": "south", "income": -1.5, "visits": 9, "member": False, "town": "t1"}


def data() -> Dataset:
    random = np.random.default_rng(0)
    region = random.choice(["north", "south", "east"], ROWS, p=[0.5, 0.3, 0.2])
    income, visits, member = random.normal(size=ROWS), random.poisson(4, ROWS), random.random(ROWS) < 0.4
    odds = income * (region == "south") - 0.3 * visits * member + (region == "north") + 0.5
    frame = pl.DataFrame(
        {
            "region": region,
            "income": income,
            "visits": visits,
            "member": member,
            "town": random.choice(["t1", "t2", "t3"], ROWS),
            TARGET: (random.random(ROWS) < 1 / (1 + np.exp(-odds))).astype(np.int8),
        }
    )
    gaps = ["income", "visits", "town"]
    present = {name: pl.Series(random.random(ROWS) < 0.8) for name in gaps}
    frame = frame.with_columns(pl.when(there).then(pl.col(name)).alias(name) for name, there in present.items())
    return Dataset(frame, Schema(FEATURES, None, None, None, []))


@pytest.fixture(scope="module", params=RECIPES)
def scorer(request: pytest.FixtureRequest) -> OnnxScorer:
    pipeline = fit_pipeline(Recipe.model_validate(RECIPES[request.param]), data())
    manifest = Manifest(FEATURES, 0.5, 0.5, Calibration("sigmoid", (1.5,), (-0.25,)))
    return OnnxScorer.parse(to_onnx(Model(pipeline, manifest)), "model.onnx")


def effects(scorer: OnnxScorer, row: dict[str, Any], reference: dict[str, Any] | None = None) -> dict[str, float]:
    found = explain(scorer, scorer.read(row), scorer.read(reference or REFERENCE))
    return dict(zip(REFERENCE, found.tolist(), strict=True))


def averaged_over_all_orders(scorer: OnnxScorer, row: dict[str, Any]) -> dict[str, float]:
    """The definition, with each row scored by itself."""
    totals = dict.fromkeys(REFERENCE, 0.0)
    for order in permutations(REFERENCE):
        given, before = dict(REFERENCE), scorer.predict_row(REFERENCE)
        for name in order:
            given[name] = row[name]
            after = scorer.predict_row(given)
            totals[name] += after - before
            before = after
    return {name: total / math.factorial(len(REFERENCE)) for name, total in totals.items()}


def test_effects_are_averages_over_all_orders(scorer: OnnxScorer) -> None:
    found = effects(scorer, OTHER)
    assert found == pytest.approx(averaged_over_all_orders(scorer, OTHER), abs=1e-12)
    assert max(map(abs, found.values())) > 0.01


def shap_values(value: Any, row: NDArray[np.float64], reference: NDArray[np.float64]) -> NDArray[np.float64]:
    """SHAP's exact values of the function of a table, with a background of one row."""
    with warnings.catch_warnings():
        # It prepares colours in a way that matplotlib will give up.
        warnings.simplefilter("ignore")
        shap = pytest.importorskip("shap")
        explained = shap.explainers.Exact(value, shap.maskers.Independent(reference[None]))(row[None])
    found: NDArray[np.float64] = explained.values[0]
    return found


@pytest.mark.sweep
def test_effects_are_those_of_shap(scorer: OnnxScorer) -> None:
    kinds = [feature.kind for feature in FEATURES]
    texts = [[row[name] for name in ("region", "town")] for row in (REFERENCE, OTHER)]

    def probability(table: NDArray[np.float64]) -> NDArray[np.float64]:
        # SHAP mixes numbers, so a category is 0 for the reference's text and 1 for the row's.
        rows = []
        for line in table:
            region, income, visits, member, town = line.tolist()
            row = {"region": texts[int(region)][0], "income": income, "visits": int(visits), "member": bool(member)}
            rows.append(scorer.read(row | {"town": texts[int(town)][1]}))
        return scorer.score(rows)

    sides = [
        np.array([side if kind == "category" else float(row[name]) for name, kind in zip(row, kinds, strict=True)])
        for side, row in enumerate((REFERENCE, OTHER))
    ]
    expected = shap_values(probability, sides[1], sides[0])
    assert list(effects(scorer, OTHER).values()) == pytest.approx(expected.tolist(), abs=1e-12)


def test_effects_in_a_linear_model_are_its_coefficients_times_the_distance() -> None:
    random = np.random.default_rng(0)
    table = random.normal(size=(100, 15))
    linear = LinearRegression().fit(table, table @ np.arange(15) + random.normal(size=100))
    row, reference = random.normal(size=(2, 15))
    for columns in (5, 15):
        # Exactly, and by sampled orders, which must agree as well: in a linear model all orders do.
        def value(mask: NDArray[np.bool_], columns: int = columns) -> NDArray[np.float64]:
            given = np.tile(reference, (len(mask), 1))
            given[:, :columns] = np.where(mask, row[:columns], reference[:columns])
            predicted: NDArray[np.float64] = linear.predict(given)
            return predicted

        expected = linear.coef_[:columns] * (row - reference)[:columns]
        assert shapley_values(value, columns) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("row", [OTHER, REFERENCE, OTHER | {"income": None, "visits": 99, "town": "nowhere"}])
def test_effects_add_up_to_the_distance_of_the_probabilities(scorer: OnnxScorer, row: dict[str, Any]) -> None:
    distance = scorer.predict_row(row) - scorer.predict_row(REFERENCE)
    assert sum(effects(scorer, row).values()) == pytest.approx(distance, abs=1e-12)


def test_a_column_that_is_read_as_in_the_reference_row_has_no_effect(scorer: OnnxScorer) -> None:
    found = effects(scorer, OTHER | {"income": 0.1, "member": 1, "region": "north"})
    assert [name for name, effect in found.items() if effect] == ["visits", "town"]


def test_a_missing_value_has_no_effect_only_against_a_missing_one(scorer: OnnxScorer) -> None:
    # 99 is out of range, and so as good as missing; the reference row has no town.
    for missing in (None, 99):
        row = REFERENCE | {"visits": missing, "town": None}
        found = effects(scorer, row)
        distance = scorer.predict_row(row) - scorer.predict_row(REFERENCE)
        assert found == {"region": 0, "income": 0, "visits": pytest.approx(distance, abs=1e-12), "member": 0, "town": 0}
        assert effects(scorer, row, REFERENCE | {"visits": None})["visits"] == 0


def test_only_columns_that_differ_take_part(scorer: OnnxScorer, monkeypatch: pytest.MonkeyPatch) -> None:
    scored, probabilities = [], OnnxScorer.probabilities

    def counted(self: OnnxScorer, numbers: Any, texts: Any) -> NDArray[np.float64]:
        scored.append(len(numbers))
        return probabilities(self, numbers, texts)

    row, missing = REFERENCE | {"region": "east", "visits": None}, REFERENCE | {"visits": None}
    monkeypatch.setattr(OnnxScorer, "probabilities", counted)
    effects(scorer, row, missing)
    assert scored == [2]
    effects(scorer, row)
    assert scored == [2, 4]


WIDE = 14


def wide_value(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """A probability that depends on pairs of columns, too."""
    weights = np.linspace(-1, 1, WIDE)
    odds = mask @ weights + 2 * mask[:, 0] * mask[:, 1] - mask[:, 2] * mask[:, 13]
    probability: NDArray[np.float64] = 1 / (1 + np.exp(-odds))
    return probability


def test_many_columns_are_sampled_in_the_same_orders_every_time(monkeypatch: pytest.MonkeyPatch) -> None:
    scored = []

    def counted(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
        scored.append(len(mask))
        return wide_value(mask)

    sampled = shapley_values(counted, WIDE)
    assert sum(scored) == rows_to_score(WIDE) < 2**WIDE
    np.random.seed(1)
    assert (shapley_values(wide_value, WIDE) == sampled).all()
    assert sampled.sum() == pytest.approx(np.diff(wide_value(np.tri(2, WIDE, k=-1, dtype=bool) | [[False], [True]]))[0])
    monkeypatch.setattr(reasons, "EXACT_COLUMNS", WIDE)
    assert sampled == pytest.approx(shapley_values(wide_value, WIDE), abs=0.01)


@pytest.mark.parametrize("columns", [0, 1, 12])
def test_few_columns_are_exact(columns: int) -> None:
    scored = []

    def value(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
        scored.append(len(mask))
        product: NDArray[np.float64] = mask.all(axis=1).astype(float)
        return product

    # All columns are needed together, so they share the effect.
    assert shapley_values(value, columns) == pytest.approx([1 / max(columns, 1)] * columns)
    assert sum(scored) == rows_to_score(columns) == 2**columns


@pytest.mark.parametrize("kind", ["category", "number"])
def test_a_model_may_have_only_one_kind_of_column(kind: str) -> None:
    features = [feature for feature in FEATURES if feature.kind == kind]
    only = Dataset(data().rows, Schema(features, None, None, None, []))
    pipeline = fit_pipeline(Recipe.model_validate(RECIPES["boosting"]), only)
    scorer = OnnxScorer.parse(to_onnx(Model(pipeline, Manifest(features, 0.5, 0.5))), "model.onnx")
    found = explain(scorer, scorer.read(OTHER), scorer.read(REFERENCE))
    distance = scorer.predict_row(OTHER) - scorer.predict_row(REFERENCE)
    assert abs(distance) > 0.01
    assert found.sum() == pytest.approx(distance, abs=1e-12)


def test_a_typical_row_has_medians_and_the_most_frequent_texts() -> None:
    features = [
        Feature(name="even", type="integer"),
        Feature(name="price", type="number", range=(0, 10)),
        Feature(name="paid", type="boolean"),
        Feature(name="tied", type="category"),
        Feature(name="rare", type="category"),
        Feature(name="half", type="number"),
        Feature(name="never", type="number"),
    ]
    rows = pl.DataFrame(
        {
            "even": [7, 1, 3, 900],
            "price": [2.5, None, 1.0, 99.0],
            "paid": [True, True, False, True],
            "tied": ["b", "a", "a", "b"],
            "rare": ["a", None, None, None],
            "half": [None, 0.5, 4.0, None],
            "never": [None] * 4,
        }
    )
    found = typical_row(Dataset(rows, Schema(features, None, None, None, [])))
    # 99 is out of range.
    assert found == {"even": 3, "price": 1.0, "paid": True, "tied": "a", "rare": None, "half": 0.5, "never": None}
    assert [type(value) for value in found.values()][:3] == [int, float, bool]
    manifest = Manifest(features, 0.5, 0.5, reference=found)
    assert Manifest.parse(manifest.describe()) == manifest


@pytest.mark.parametrize(
    "wrong", [[], {}, {"region": "north"}, REFERENCE | {"income": "much"}, REFERENCE | {"town": []}]
)
def test_a_manifest_with_a_wrong_reference_row_is_refused(wrong: object) -> None:
    described = Manifest(FEATURES, 0.5, 0.5).describe()
    assert Manifest.parse(described).reference is None
    with pytest.raises(ValueError, match="its reference row is no row of its features"):
        Manifest.parse(described | {"reference": wrong})


def test_logistic_effects_of_one_column_are_the_change_of_scikit_learns_probability() -> None:
    random = np.random.default_rng(0)
    table = random.normal(size=(200, 2))
    fitted = LogisticRegression().fit(table, table @ [1, -2] > 0)

    def value(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
        probability: NDArray[np.float64] = fitted.predict_proba(np.where(mask, [[1.0, 0.5]], 0.0))[:, 1]
        return probability

    alone = fitted.predict_proba([[0, 0], [1, 0], [0, 0.5], [1, 0.5]])[:, 1]
    expected = [(alone[1] - alone[0] + alone[3] - alone[2]) / 2, (alone[2] - alone[0] + alone[3] - alone[1]) / 2]
    assert shapley_values(value, 2).tolist() == pytest.approx(expected, abs=1e-12)
