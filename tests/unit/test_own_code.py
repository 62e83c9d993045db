"""Functions and classes of a user: what can be used, and what is refused by name."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from champion.core.errors import UserError
from champion.core.files import sha256_of
from champion.model.estimators import build_pipeline
from champion.model.fitting import fit_pipeline
from champion.model.manifest import Manifest
from champion.model.model import Model
from champion.model.model_file import load, save
from champion.model.recipe import Recipe
from champion.pipeline.ingest.params import FileSource
from champion.pipeline.ingest.sources import read_table
from champion.table.columns import TARGET, Column, Columns
from champion.table.dataset import Dataset, Schema
from champion.table.features import Feature

FEATURES = [Feature(name="amount", type="number"), Feature(name="kind", type="category")]
STORED = {
    "a forest of random trees": ("sklearn.ensemble:ExtraTreesClassifier", {"n_estimators": 5}),
    "a tree": ("sklearn.tree:DecisionTreeClassifier", {"max_depth": 3}),
    "a discriminant": ("sklearn.discriminant_analysis:LinearDiscriminantAnalysis", {}),
    "a vote": ("support.own_models:vote", {"trees": 3}),
}
REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "neighbours": (
        "sklearn.neighbors:KNeighborsClassifier",
        {},
        "gives sklearn.neighbors._classification.KNeighborsClassifier, which no model file can hold without code",
    ),
    "one of its own kind": (
        "support.own_models:Constant",
        {},
        "gives support.own_models.Constant, which no model file",
    ),
    "no classifier": ("support.own_models:nothing", {}, "gives object, which is no classifier with fit and"),
    "one that fails": (
        "support.own_models:broken",
        {"a": 1},
        "support.own_models:broken failed (RuntimeError: no ['a'])",
    ),
    "no such parameter": ("sklearn.ensemble:ExtraTreesClassifier", {"tres": 5}, "unexpected keyword argument 'tres'"),
    "no such class": ("sklearn.ensemble:ExtraTreeClassifier", {}, "(did you mean `ExtraTreesClassifier`?)"),
    "no such package": ("sklaern.ensemble:ExtraTreesClassifier", {}, "there is no module 'sklaern'"),
    "no such file": ("own.models:Mine", {}, "there is no file own/models.py"),
    "a hard vote": ("sklearn.ensemble:VotingClassifier", {"estimators": []}, "which is no classifier with fit and"),
    "a vote of neighbours": ("support.own_models:vote_of_neighbours", {}, "KNeighborsClassifier, which no model file"),
}


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "data/source").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in [name for name in sys.modules if name == "own" or name.startswith("own.")]:
        monkeypatch.delitem(sys.modules, name)


def dataset() -> Dataset:
    random = np.random.default_rng(0)
    amount = random.normal(size=200)
    table = pl.DataFrame(
        {
            "amount": amount,
            "kind": random.choice(["a", "b"], 200),
            TARGET: (amount + random.normal(size=200) > 0).astype(np.int8),
        }
    )
    return Dataset(table, Schema(FEATURES, None, None, None, []))


def recipe(estimator: str, parameters: dict[str, Any] | None = None) -> Recipe:
    return Recipe.model_validate({"estimator": estimator, "parameters": parameters or {}})


def refusal(estimator: str, parameters: dict[str, Any] | None = None) -> str:
    with pytest.raises(UserError) as error:
        fit_pipeline(recipe(estimator, parameters), dataset())
    assert "\n" not in str(error.value)
    assert str(error.value).startswith("params.yaml: `train.estimator`: ")
    return str(error.value)


@pytest.mark.parametrize("case", STORED)
def test_an_estimator_of_scikit_learn_is_stored_and_read_with_the_same_bytes(case: str, tmp_path: Path) -> None:
    data, hashes = dataset(), set()
    for number in range(2):
        pipeline = fit_pipeline(recipe(*STORED[case]), data)
        model = Model(pipeline, Manifest(FEATURES, 0.5, 0.5))
        save(model, tmp_path / f"{number}.skops")
        hashes.add(sha256_of(tmp_path / f"{number}.skops"))
        read = load(tmp_path / f"{number}.skops")
        np.testing.assert_array_equal(read.predict(data.rows), model.predict(data.rows))
    assert len(hashes) == 1


@pytest.mark.parametrize("case", REFUSED)
def test_an_estimator_that_cannot_be_used_is_refused_by_name(case: str) -> None:
    estimator, parameters, said = REFUSED[case]
    assert said in refusal(estimator, parameters)


def test_what_would_be_lost_is_told_before_anything_is_fitted() -> None:
    with pytest.raises(UserError, match=r"So nothing could be loaded, registered, served or explained. Give "):
        build_pipeline(recipe("sklearn.neighbors:KNeighborsClassifier"), FEATURES)


def test_an_own_class_is_stored_as_what_it_fitted() -> None:
    Path("own/restrained.py").write_text("from support.own_models import Restrained\n")
    pipeline = fit_pipeline(recipe("own.restrained:Restrained", {"loss": 0.05}), dataset())
    assert type(pipeline.named_steps["model"]).__name__ == "LogisticRegression"


def test_an_own_class_that_changes_its_rows_first_is_refused() -> None:
    Path("own/shifted.py").write_text(
        "from support.own_models import Restrained\n"
        "class Shifted(Restrained):\n"
        "    def predict_proba(self, rows):\n"
        "        return super().predict_proba(rows + 1)\n"
    )
    said = refusal("own.shifted:Shifted")
    assert "the `fitted_` of own.shifted:Shifted answers in another way than its predict_proba" in said


def test_an_error_in_an_own_class_names_its_line() -> None:
    Path("own/wrong.py").write_text(
        "class Wrong:\n    predict_proba = print\n    def fit(self, rows, target):\n        return rows.no_such\n"
    )
    assert "own.wrong:Wrong failed, wrong.py line 4 (AttributeError: " in refusal("own.wrong:Wrong")
    Path("own/half.py").write_text("def make(:\n")
    assert "own.half:make cannot be imported, half.py line 1 (SyntaxError: " in refusal("own.half:make")


def test_a_line_is_told_only_of_own_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "own/lib/installed.py"
    package.parent.mkdir()
    package.write_text("def broken(**_):\n    raise RuntimeError('no')\n")
    monkeypatch.syspath_prepend(package.parent)
    assert "installed:broken failed (RuntimeError: no). " in refusal("installed:broken")


def read_adapted(function: str) -> pl.DataFrame:
    Path("own/mine.py").write_text(f"import polars as pl\n\n{function}")
    Path("data/source/t.csv").write_text("price,paid\n$1.50,ok\n$20,late\n")
    columns = Columns(price=Column(type="number"), late=Column(type="boolean", role="label"))
    return read_table(FileSource(source="file", path="t.csv", adapter="own/mine.py:fields"), columns, None)


def test_an_adapter_makes_the_declared_columns_of_the_texts() -> None:
    table = read_adapted(
        "def fields(rows):\n"
        "    return rows.select(price=pl.col('price').str.strip_chars('$'), late=pl.col('paid') == 'late')\n"
    )
    assert table.rows() == [(1.5, False), (20.0, True)]


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (
            "def fields(rows):\n    return rows.drop('price')\n",
            "own/mine.py:fields: the column 'price', 'late' is missing",
        ),
        (
            "def fields(rows):\n    return None\n",
            "own/mine.py:fields gave NoneType. Let it return a DataFrame of Polars.",
        ),
        ("def fields(rows):\n    return rows['cost']\n", "failed, mine.py line 4 (ColumnNotFoundError: "),
        ("def columns(rows):\n    return rows\n", "own/mine.py has no function or class 'fields'"),
        (
            "def fields(rows):\n    return rows.select('price', late=pl.lit(True))\n",
            "own/mine.py:fields: 2 values of column 'price' cannot be read as number, such as '$1.50', '$20'.",
        ),
    ],
    ids=["columns are missing", "no table", "it fails", "no such function", "values do not parse"],
)
def test_an_adapter_that_cannot_be_used_is_refused_by_name(function: str, said: str) -> None:
    with pytest.raises(UserError) as error:
        read_adapted(function)
    assert said in str(error.value)
