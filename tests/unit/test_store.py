"""Model files: equal models give equal bytes, and no model file can run code."""

import functools
import hashlib
import io
import json
import operator
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import skops.io
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from champion.core.errors import UserError
from champion.core.files import sha256_of
from champion.model.estimators import build_pipeline, drop_machine_state
from champion.model.manifest import Manifest
from champion.model.model import Model
from champion.model.model_file import MANIFEST, load, save
from champion.model.recipe import Recipe
from champion.table.features import Feature, to_frame
from support.project import REPOSITORY

NAMES = ["hist_gradient_boosting", "random_forest", "logistic_regression"]
FEATURES = [
    Feature(name="amount", type="number"),
    Feature(name="kind", type="category"),
    Feature(name="flag", type="boolean"),
]


def rows(count: int = 300) -> pl.DataFrame:
    rng = np.random.default_rng(9)
    return pl.DataFrame(
        {
            "amount": rng.normal(size=count),
            "kind": pl.Series(rng.choice(["a", "b", None], count).tolist(), dtype=pl.String),
            "flag": rng.random(count) < 0.5,
            "target": rng.integers(0, 2, count).astype(np.int8),
        }
    )


def fitted(name: str, **options: Any) -> Model:
    """The estimator fitted on `rows`; the options are other keys of the recipe."""
    small = {"max_iter": 5} if name == "hist_gradient_boosting" else {}
    small = {"n_estimators": 5, "max_depth": 3} if name == "random_forest" else small
    train = Recipe.model_validate({"estimator": name, name: small, **options})
    table = rows()
    pipeline = build_pipeline(train, FEATURES).fit(to_frame(table, FEATURES), table["target"].to_numpy())
    return Model(drop_machine_state(pipeline), Manifest(FEATURES, base_rate=0.25, cut=0.25))


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "model.skops"
    save(fitted("hist_gradient_boosting"), path)
    return path


@pytest.fixture
def path(saved: Path, tmp_path: Path) -> Path:
    """A model file to break."""
    copy = tmp_path / "model.skops"
    copy.write_bytes(saved.read_bytes())
    return copy


def refusal(path: Path, sha256: str | None = None) -> str:
    with pytest.raises(UserError) as error:
        load(path, sha256)
    assert "\n" not in str(error.value)
    assert str(error.value).startswith(f"{path}: ")
    return str(error.value)


def rewrite(path: Path, edit: Callable[[str, bytes], bytes | None]) -> None:
    """Replace every member of the archive with the result of `edit`; None removes it."""
    members = {}
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            members[name] = edit(name, archive.read(name))
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            if content is not None:
                archive.writestr(name, content)


def disguise(path: Path, thing: Any) -> None:
    """Anything as a file with our manifest."""
    buffer = io.BytesIO(skops.io.dumps(thing))
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr(MANIFEST, json.dumps({"features": [], "base_rate": 0.5}))
    path.write_bytes(buffer.getvalue())


FIT_AND_SAVE = """
import sys
from pathlib import Path
from unit.test_store import NAMES, fitted
from champion.model.model_file import save
for name in NAMES:
    save(fitted(name), Path(sys.argv[1]) / name)
"""


def test_two_processes_that_fit_the_same_model_write_the_same_bytes(tmp_path: Path) -> None:
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(REPOSITORY / "src"), str(REPOSITORY / "tests")]),
        "PYTHONHASHSEED": "1",
        "OMP_NUM_THREADS": "2",
    }
    subprocess.run([sys.executable, "-c", FIT_AND_SAVE, str(tmp_path)], env=environment, check=True)
    for name in NAMES:
        save(fitted(name), tmp_path / "here")
        assert (tmp_path / name).read_bytes() == (tmp_path / "here").read_bytes(), name


@pytest.mark.parametrize("name", NAMES)
def test_a_loaded_model_is_the_saved_one(name: str, tmp_path: Path) -> None:
    model, path = fitted(name), tmp_path / "model.skops"
    save(model, path)
    again = load(path, sha256_of(path))
    assert again.manifest == model.manifest
    np.testing.assert_array_equal(again.predict(rows()), model.predict(rows()))
    save(again, tmp_path / "again.skops")
    assert (tmp_path / "again.skops").read_bytes() == path.read_bytes()


def test_predicting_takes_columns_by_name_from_either_kind_of_frame(saved: Path) -> None:
    model, table = load(saved), rows()
    expected = model.predict(table)
    assert expected.shape == (table.height,)
    np.testing.assert_array_equal(model.predict(table.select(reversed(table.columns)).with_columns(more=1)), expected)
    np.testing.assert_array_equal(model.predict(table.to_pandas()), expected)
    assert model.predict(table.clear()).shape == (0,)


@pytest.mark.parametrize("convert", [pl.DataFrame.clone, pl.DataFrame.to_pandas])
def test_a_missing_column_is_named(convert: Callable[[pl.DataFrame], Any], saved: Path) -> None:
    with pytest.raises(UserError, match="the model needs the column 'kind', which is missing"):
        load(saved).predict(convert(rows().drop("kind")))


def touch(path: str) -> None:
    Path(path).touch()


class Reduced:
    """An object that makes pickle run code on loading."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return touch, (self.path,)


HOSTILE: list[tuple[str, Callable[[str], Any]]] = [
    ("posix.system", lambda _: os.system),
    ("posix.system", lambda path: functools.partial(os.system, f"touch {path}")),
    ("posix.system", lambda path: functools.partial(functools.partial(os.system), f"touch {path}")),
    ("posix.system", lambda _: FunctionTransformer(os.system)),
    (
        "posix.system",
        lambda path: Pipeline([("f", FunctionTransformer(functools.partial(os.system, f"touch {path}")))]),
    ),
    ("builtins.eval", lambda path: functools.partial(eval, f"open({path!r}, 'w')")),
    ("builtins.exec", lambda _: FunctionTransformer(exec)),
    ("subprocess.run", lambda path: functools.partial(subprocess.run, ["touch", path])),
    ("operator.methodcaller", lambda path: FunctionTransformer(operator.methodcaller("to_csv", path))),
    ("unit.test_store.Reduced", Reduced),
]


@pytest.mark.parametrize(("name", "make"), HOSTILE)
def test_a_file_that_names_code_is_refused_and_nothing_runs(
    name: str, make: Callable[[str], Any], tmp_path: Path
) -> None:
    path, trace = tmp_path / "model.skops", tmp_path / "trace"
    disguise(path, make(str(trace)))
    assert f"holds the type {name}, which our models never hold" in refusal(path)
    assert not trace.exists()


def test_code_in_the_place_of_a_trusted_function_is_refused(path: Path) -> None:
    def swap(name: str, content: bytes) -> bytes:
        if name != "schema.json":
            return content
        text = content.decode()
        assert '"TreePredictor"' in text
        return text.replace('"TreePredictor"', '"system"').replace(
            '"sklearn.ensemble._hist_gradient_boosting.predictor"', '"posix"'
        ).encode()  # fmt: skip

    rewrite(path, swap)
    assert "holds the type posix.system" in refusal(path)


def test_a_file_with_another_hash_is_not_opened(path: Path) -> None:
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    assert f"its sha256 is {found}, expected {'0' * 64}" in refusal(path, "0" * 64)
    path.write_bytes(b"not even a model")
    assert "its sha256 is" in refusal(path, found)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_truncated_file_is_a_sentence(share: float, path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    assert "not a model file (BadZipFile). Run `dvc repro`" in refusal(path)


def test_a_flipped_byte_is_noticed(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    assert "not a model file (BadZipFile)" in refusal(path)


@pytest.mark.parametrize("content", [b"text", b"\x80\x04\x95pickle", b"PK\x03\x04"])
def test_what_is_no_archive_is_a_sentence(content: bytes, path: Path) -> None:
    path.write_bytes(content)
    assert "not a model file" in refusal(path)


@pytest.mark.parametrize("member", [MANIFEST, "schema.json", "0.npy", None])
@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b"{}", b"null", b"\xff"])
def test_an_archive_with_a_broken_member_is_a_sentence(member: str | None, content: bytes | None, path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        array = next(name for name in archive.namelist() if name.endswith(".npy"))
    broken = array if member in (None, "0.npy") else member
    rewrite(path, lambda name, old: content if name == broken else old)
    assert "not a model file" in refusal(path)


@pytest.mark.parametrize("thing", [[1], {"a": 1}, np.zeros(3)])
def test_data_that_is_no_pipeline_is_refused(thing: Any, path: Path) -> None:
    disguise(path, thing)
    assert f"holds a {type(thing).__name__}, not a model" in refusal(path)


def test_no_file_says_what_makes_it(tmp_path: Path) -> None:
    assert "no such file. Run `dvc repro` to make it" in refusal(tmp_path / "model.skops")


def test_the_archive_holds_no_time_and_no_compression(saved: Path) -> None:
    with zipfile.ZipFile(saved) as archive:
        for member in archive.infolist():
            assert member.date_time == (1980, 1, 1, 0, 0, 0)
            assert member.compress_type == zipfile.ZIP_STORED
