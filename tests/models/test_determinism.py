"""The same rows and params give the same model file, byte for byte, on any machine."""

import json
from typing import Any

import pytest
from numpy._core._multiarray_umath import __cpu_dispatch__ as dispatched
from numpy._core._multiarray_umath import __cpu_features__ as features

from support.project import Project

pytestmark = pytest.mark.sweep

# On one worker, which trains for all tests here.
# Every estimator, and every search over one of them, small enough to fit in a moment.
TRAIN = """
import hashlib, json, sys
from pathlib import Path
from dataclasses import replace
from champion.core.layout import AT_SPLIT, LABELLED
from champion.core.values import rounded
from champion.model.fitting import calibrate, fit_pipeline
from champion.model.model_file import save_pipeline
from champion.model.recipe import Training
from champion.pipeline.train.stage import choose_recipe, summarise
from champion.table.dataset import Dataset


whole = Dataset.read(AT_SPLIT / LABELLED)
data = replace(whole, rows=whole.rows.gather_every(2))
digests = {}
for name, section in json.loads(sys.argv[2]).items():
    params = Training.model_validate(section)
    recipe, scores = choose_recipe(params, data)
    path = Path(sys.argv[1]) / "pipeline.skops"
    save_pipeline(fit_pipeline(recipe, data.judged), path)
    calibration = calibrate(recipe, scores)
    digests[name] = {
        "model": hashlib.sha256(path.read_bytes()).hexdigest(),
        "calibration": calibration and calibration.describe(),
        "chosen": {name: getattr(recipe, recipe.estimator)[name] for name in params.search.grid},
        "summary": rounded(summarise(params, recipe, data, scores)),
    }
print(json.dumps(digests))
"""

GRID = {"learning_rate": [0.05, 0.2], "max_leaf_nodes": [4, 8]}


def section(estimator: str, method: str, **options: Any) -> dict[str, Any]:
    return options | {
        "estimator": estimator,
        "hist_gradient_boosting": {"max_iter": 5},
        "random_forest": {"n_estimators": 10, "min_samples_leaf": 5},
        "max_categories": 50,
        "search": {"method": method, "candidates": 2, "grid": GRID if method != "none" else {}},
    }


SECTIONS = {
    **{name: section(name, "none") for name in ("hist_gradient_boosting", "random_forest", "logistic_regression")},
    "native": section("hist_gradient_boosting", "none", native_categories=True, recency_half_life=12),
    "sigmoid": section("logistic_regression", "none", calibration="sigmoid"),
    "isotonic": section("hist_gradient_boosting", "none", calibration="isotonic"),
    **{f"{method} search": section("hist_gradient_boosting", method) for method in ("grid", "halving", "random")},
}


def other_machine() -> dict[str, str]:
    """Settings that make numpy and OpenBLAS compute as on another processor, if this one can."""
    machine = {"NPY_DISABLE_CPU_FEATURES": " ".join(name for name in dispatched if features.get(name))}
    if features.get("AVX512_SKX"):
        return machine | {"OPENBLAS_CORETYPE": "SkylakeX"}
    return machine | ({"OPENBLAS_CORETYPE": "Nehalem"} if features.get("AVX2") else {})


def trained(project: Project, folder: str, environment: dict[str, str]) -> dict[str, Any]:
    ran = project.run("python", "-c", TRAIN, folder, json.dumps(SECTIONS), environment=environment)
    return dict(json.loads(ran.stdout))


@pytest.fixture(scope="module")
def twice(sample_run: Project, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, Any]]:
    """Every model, trained by two processes: with one thread, and with two threads that simulate another processor."""
    folder = tmp_path_factory.mktemp("models")
    here = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONHASHSEED": "0", "OPENBLAS_CORETYPE": "Haswell"}
    if not features.get("AVX2"):
        del here["OPENBLAS_CORETYPE"]
    there = {"OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2", "PYTHONHASHSEED": "1"} | other_machine()
    return trained(sample_run, str(folder), here), trained(sample_run, str(folder), there)


@pytest.mark.parametrize("name", SECTIONS)
def test_training_again_on_another_machine_gives_the_same_bytes(
    twice: tuple[dict[str, Any], dict[str, Any]], name: str
) -> None:
    first, second = twice
    assert first[name] == second[name]


@pytest.mark.parametrize("method", ["grid", "halving", "random"])
def test_a_search_chooses_from_its_grid(twice: tuple[dict[str, Any], dict[str, Any]], method: str) -> None:
    chosen = twice[0][f"{method} search"]["chosen"]
    assert set(chosen) == set(GRID)
    assert all(value in GRID[name] for name, value in chosen.items())


def test_models_that_differ_have_different_bytes(twice: tuple[dict[str, Any], dict[str, Any]]) -> None:
    digests = [twice[0][name]["model"] for name in ("hist_gradient_boosting", "random_forest", "logistic_regression")]
    assert len(set(digests)) == 3
