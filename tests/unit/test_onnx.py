"""The ONNX file answers as the model does, whatever the estimator, the calibration and the values."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from champion.core.errors import UserError
from champion.model.calibration import Calibration
from champion.model.fitting import fit_pipeline
from champion.model.manifest import Manifest
from champion.model.model import Model
from champion.model.onnx_scorer import MISSING, OnnxScorer
from champion.model.recipe import Recipe
from champion.pipeline.export.graph import to_onnx
from champion.pipeline.export.stage import prove
from champion.serving.table_files import open_table
from champion.serving.table_scoring import Scoring
from champion.table.columns import TARGET, dtype
from champion.table.dataset import Dataset, Schema
from champion.table.features import Feature
from champion.table.text_form import TextForm

FEATURES = [
    Feature(name="count", type="integer", range=(0, 10)),
    # Single precision cannot tell its values apart.
    Feature(name="time", type="integer"),
    Feature(name="share", type="number"),
    Feature(name="never_missing", type="number"),
    Feature(name="always_missing", type="number"),
    Feature(name="code", type="category", values=("Y", "N")),
    Feature(name="town", type="category"),
    Feature(name="flag", type="boolean"),
]
ROWS = 600


def table() -> pl.DataFrame:
    random = np.random.default_rng(0)
    time = 1_700_000_000 + random.integers(0, 50, ROWS)
    town = random.choice([f"t{number}" for number in range(12)], ROWS, p=np.arange(1, 13) / 78)
    target = ((time % 2 == 0) ^ (random.random(ROWS) < 0.2)).astype(np.int8)
    frame = pl.DataFrame(
        {
            "count": random.integers(0, 11, ROWS),
            "time": time,
            "share": random.random(ROWS),
            "never_missing": random.normal(size=ROWS),
            "always_missing": [None] * ROWS,
            "code": random.choice(["Y", "N"], ROWS),
            "town": town,
            "flag": random.random(ROWS) < 0.5,
            TARGET: target,
        },
        schema_overrides={"always_missing": pl.Float64},
    )
    gaps = ["count", "share", "code", "town", "flag"]
    return frame.with_columns(
        pl.when(pl.Series(random.random(ROWS) < 0.9)).then(pl.col(name)).alias(name) for name in gaps
    )


DATA = Dataset(table(), Schema(FEATURES, None, None, None, []))
RECIPES: dict[str, dict[str, Any]] = {
    "boosting": {"estimator": "hist_gradient_boosting", "hist_gradient_boosting": {"max_iter": 20}},
    "boosting with native categories": {
        "estimator": "hist_gradient_boosting",
        "hist_gradient_boosting": {"max_iter": 20, "min_samples_leaf": 5},
        "native_categories": True,
    },
    "boosting without a split": {
        "estimator": "hist_gradient_boosting",
        "hist_gradient_boosting": {"max_iter": 2, "min_samples_leaf": ROWS},
    },
    "a forest": {"estimator": "random_forest", "random_forest": {"n_estimators": 15, "min_samples_leaf": 2}},
    "a logistic regression": {"estimator": "logistic_regression"},
    "random trees": {"estimator": "sklearn.ensemble:ExtraTreesClassifier", "parameters": {"n_estimators": 15}},
    "one tree": {"estimator": "sklearn.tree:DecisionTreeClassifier", "parameters": {"max_depth": 4}},
    "a discriminant": {"estimator": "sklearn.discriminant_analysis:LinearDiscriminantAnalysis"},
    "a vote": {"estimator": "support.own_models:vote", "parameters": {"trees": 5}},
}
CALIBRATIONS = {
    "none": None,
    "sigmoid": Calibration("sigmoid", (1.5,), (-0.25,)),
    # Two points at one place are a step.
    "isotonic": Calibration("isotonic", (0.1, 0.312345, 0.312345, 0.6), (0.05, 0.2, 0.4, 0.9)),
    "isotonic of one point": Calibration("isotonic", (0.5,), (0.3,)),
}
TEXTS = st.none() | st.sampled_from(["Y", "N", "t11", "t0", "nan", "", MISSING]) | st.text(max_size=3)
VALUES = st.fixed_dictionaries(
    {
        "count": st.none() | st.integers(-3, 13),
        "time": st.none() | st.integers(1_699_999_990, 1_700_000_060) | st.integers(-(2**63), 2**63 - 1),
        "share": st.none() | st.floats(-1, 2) | st.floats(),
        "never_missing": st.none() | st.floats(-3, 3),
        "always_missing": st.none() | st.floats(-3, 3),
        "code": TEXTS,
        "town": TEXTS,
        "flag": st.none() | st.booleans(),
    }
)


def fitted(recipe: dict[str, Any], calibration: Calibration | None = None, *, small: bool = True) -> Model:
    """The recipe fitted on the table, where the rarest towns share one code if `small`."""
    chosen = Recipe.model_validate(recipe | {"max_categories": 6 if small else 100})
    return Model(fit_pipeline(chosen, DATA), Manifest(FEATURES, 0.5, 0.5, calibration))


def scorer_of(model: Model) -> OnnxScorer:
    return OnnxScorer.parse(to_onnx(model), "model.onnx")


@pytest.fixture(scope="module", params=RECIPES)
def pair(request: pytest.FixtureRequest) -> tuple[Model, OnnxScorer]:
    model = fitted(RECIPES[request.param])
    return model, scorer_of(model)


@given(st.lists(VALUES, min_size=1, max_size=8))
def test_the_file_answers_as_the_model(pair: tuple[Model, OnnxScorer], values: list[dict[str, Any]]) -> None:
    model, scorer = pair
    rows = pl.DataFrame(values, schema={feature.name: dtype(feature.type) for feature in FEATURES})
    expected = model.predict(rows)
    np.testing.assert_allclose(scorer.predict(rows), expected, rtol=0, atol=1e-12)
    alone = [scorer.predict_row(row) for row in values]
    np.testing.assert_allclose(alone, expected, rtol=0, atol=1e-12)


def test_a_csv_file_to_score_is_written_as_the_table_was(tmp_path: Path) -> None:
    form = TextForm(na_values=("?", -1), decimal=",")
    model = Model(
        fit_pipeline(Recipe.model_validate(RECIPES["one tree"]), DATA), Manifest(FEATURES, 0.5, 0.5, form=form)
    )
    scorer, plain = scorer_of(model), DATA.rows.drop(TARGET)
    texts = plain.cast(pl.String).with_columns(
        pl.col("share", "never_missing").str.replace(".", ",", literal=True), pl.col("count").fill_null("-1")
    )
    texts.write_csv(tmp_path / "rows.csv", null_value="?")
    with open_table(tmp_path / "rows.csv", "rows.csv") as opened:
        scoring = Scoring("v1", scorer, opened)
        (scored,) = [scoring.score(1, batch, None) for batch in opened.batches]
    np.testing.assert_allclose(scored.scores, scorer.predict(plain), rtol=0, atol=1e-12)


@pytest.mark.parametrize("small", [True, False])
@pytest.mark.parametrize("name", CALIBRATIONS)
@pytest.mark.parametrize("recipe", RECIPES)
def test_the_proof_holds(recipe: str, name: str, small: bool) -> None:
    model = fitted(RECIPES[recipe], CALIBRATIONS[name], small=small)
    proof = prove(model, scorer_of(model), DATA.rows)
    assert proof["largest_difference"] < 1e-12
    assert proof["label_flips"] == 0
    assert proof["rows"] == ROWS
    assert proof["odd_rows"] > 1000


def test_the_proof_holds_at_the_step_of_a_calibration() -> None:
    model = fitted(RECIPES["boosting without a split"])
    at = float(model.predict(DATA.rows)[0])
    stepped = replace(model.manifest, calibration=Calibration("isotonic", (0.0, at, at, 1.0), (0.1, 0.2, 0.7, 0.8)))
    model = replace(model, manifest=stepped)
    assert (model.predict(DATA.rows) == 0.7).all()
    assert prove(model, scorer_of(model), DATA.rows)["largest_difference"] < 1e-12


def test_a_file_with_another_manifest_is_refused() -> None:
    model = fitted(RECIPES["boosting"])
    other = replace(model, manifest=replace(model.manifest, cut=0.6))
    with pytest.raises(UserError, match="the ONNX file answers otherwise"):
        prove(model, scorer_of(other), DATA.rows)


def test_a_file_that_answers_otherwise_is_refused() -> None:
    model = fitted(RECIPES["boosting"])
    other = replace(model, manifest=replace(model.manifest, calibration=CALIBRATIONS["sigmoid"]))
    with pytest.raises(UserError, match="the ONNX file answers otherwise than the model: by up to 0"):
        prove(model, scorer_of(other), DATA.rows)


def test_a_file_that_answers_otherwise_only_for_a_missing_value_is_refused() -> None:
    model = fitted(RECIPES["boosting"])
    content = onnx.load_from_string(to_onnx(model))
    trees = next(node for node in content.graph.node if node.op_type == "TreeEnsemble")
    sides = next(one for one in trees.attribute if one.name == "nodes_missing_value_tracks_true")
    sides.ints[:] = [1 - side for side in sides.ints]
    complete = DATA.rows.with_columns(always_missing=0.0).drop_nulls()
    with pytest.raises(UserError, match="answers otherwise"):
        prove(model, OnnxScorer.parse(content.SerializeToString(), "model.onnx"), complete)


def test_a_flipped_label_is_counted() -> None:
    model = fitted(RECIPES["boosting"])
    scores = np.sort(model.predict(DATA.rows))
    cut = float(np.nextafter(scores[ROWS // 2], np.inf))
    near = replace(model, manifest=replace(model.manifest, cut=cut))
    moved = replace(model, manifest=replace(model.manifest, calibration=Calibration("sigmoid", (1.0,), (1e-7,))))
    assert prove(near, replace(scorer_of(moved), manifest=near.manifest), DATA.rows)["label_flips"] > 0


def test_equal_models_give_equal_bytes() -> None:
    first, second = (to_onnx(fitted(RECIPES["a forest"], CALIBRATIONS["isotonic"])) for _ in range(2))
    assert first == second


def test_the_graph_has_only_standard_operators() -> None:
    for recipe in RECIPES.values():
        content = onnx.load_from_string(to_onnx(fitted(recipe, CALIBRATIONS["isotonic"])))
        assert {node.domain for node in content.graph.node} <= {"", "ai.onnx.ml"}


def test_the_file_holds_the_manifest() -> None:
    model = fitted(RECIPES["boosting"], CALIBRATIONS["sigmoid"])
    assert scorer_of(model).manifest == model.manifest


@pytest.mark.parametrize("kind", ["number", "category"])
def test_features_of_one_kind_are_enough(kind: str) -> None:
    features = [feature for feature in FEATURES if feature.kind == kind]
    data = replace(DATA, schema=replace(DATA.schema, features=features))
    for recipe in RECIPES.values():
        chosen = Recipe.model_validate(recipe | {"native_categories": False})
        model = Model(fit_pipeline(chosen, data), Manifest(features, 0.5, 0.5))
        prove(model, scorer_of(model), DATA.rows)


def test_a_lone_surrogate_is_an_unseen_value(pair: tuple[Model, OnnxScorer]) -> None:
    row = dict.fromkeys(DATA.frame.columns) | {"town": "\ud800"}
    assert pair[1].predict_row(row) == pytest.approx(pair[0].predict_row(row), abs=1e-12)


def test_no_rows_give_no_answers() -> None:
    assert scorer_of(fitted(RECIPES["a forest"])).predict(DATA.rows.clear()).shape == (0,)


def test_a_category_that_is_a_mark_is_one_sentence() -> None:
    rows = DATA.rows.with_columns(code=pl.lit("Y"), town=pl.lit(MISSING))
    features = [Feature(name="code", type="category"), Feature(name="town", type="category")]
    data = replace(DATA, rows=rows, schema=replace(DATA.schema, features=features))
    recipe = Recipe.model_validate(RECIPES["a logistic regression"])
    model = Model(fit_pipeline(recipe, data), Manifest(features, 0.5, 0.5))
    with pytest.raises(UserError, match=r"the column 'town' holds '\\ue000', which models/model\.onnx needs as a mark"):
        to_onnx(model)


def test_a_file_with_another_hash_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(to_onnx(fitted(RECIPES["a logistic regression"])))
    with pytest.raises(UserError, match="its sha256 is"):
        OnnxScorer.open(path, "0" * 64)


@pytest.mark.parametrize("damage", ["cut", "no manifest", "another manifest", "a feature less", "text"])
def test_a_damaged_file_is_one_sentence(tmp_path: Path, damage: str) -> None:
    content = to_onnx(fitted(RECIPES["a logistic regression"]))
    parsed = onnx.load_from_string(content)
    match damage:
        case "cut":
            content = content[:-20]
        case "text":
            content = b"text"
        case "no manifest":
            del parsed.metadata_props[:]
            content = parsed.SerializeToString()
        case "a feature less":
            manifest = json.loads(parsed.metadata_props[0].value)
            parsed.metadata_props[0].value = json.dumps(manifest | {"features": manifest["features"][1:]})
            content = parsed.SerializeToString()
        case "another manifest":
            parsed.metadata_props[0].value = json.dumps({"cut": 1})
            content = parsed.SerializeToString()
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"model\.onnx: not an ONNX file of a model \(\w+\)\. Run `dvc repro`"):
        OnnxScorer.open(path)


@pytest.mark.parametrize("name", ["secret", "./secret", "{folder}/secret", "../{parent}/secret"])
def test_a_file_that_points_to_another_is_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = onnx.load_from_string(to_onnx(fitted(RECIPES["a logistic regression"])))
    outside = next(one for one in content.graph.initializer if one.data_type == onnx.TensorProto.DOUBLE)
    (tmp_path / "secret").write_bytes(outside.raw_data)
    location = name.format(folder=tmp_path, parent=tmp_path.name)
    onnx.external_data_helper.set_external_data(outside, location)
    outside.ClearField("raw_data")
    (tmp_path / "model.onnx").write_bytes(content.SerializeToString())
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="not an ONNX file of a model"):
        OnnxScorer.open(tmp_path / "model.onnx")


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"model\.onnx: no such file\. Run `dvc repro` to make it\."):
        OnnxScorer.open(tmp_path / "model.onnx")
