"""Forged model files: each is one sentence, and none crashes the process, hangs it, or fills its memory."""

import functools
import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.utils.validation import check_array

from champion.model.manifest import Manifest
from champion.model.model import Model
from champion.model.model_file import MANIFEST, load, save
from unit.test_store import FEATURES, disguise, fitted, refusal, rewrite

Array = np.ndarray[Any, Any]

ASK = """
import sys
from pathlib import Path
from champion.core.errors import UserError
from champion.model.model_file import load
try:
    load(Path(sys.argv[1])).predict_row({"amount": 1.0, "kind": "a", "flag": True})
except UserError as error:
    sys.exit(f"refused: {error}")
"""


def made(name: str) -> Model:
    """A boosting knows its categories here, as their bits are what a file can forge."""
    return fitted(name, native_categories=name == "hist_gradient_boosting")


@functools.cache
def saved(name: str) -> Model:
    return made(name)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "model.skops"
    save(saved("hist_gradient_boosting"), file)
    return file


def forge_nodes(path: Path, forge: Callable[[Array], Array | None]) -> None:
    """Every tree's nodes as `forge` leaves or returns them."""

    def edit(name: str, content: bytes) -> bytes:
        if not name.endswith(".npy"):
            return content
        nodes = np.load(io.BytesIO(content))
        if nodes.dtype.names is None:
            return content
        changed, out = forge(nodes), io.BytesIO()
        np.save(out, nodes if changed is None else changed)
        return out.getvalue()

    rewrite(path, edit)


def put(field: str, value: float) -> Callable[[Array], None]:
    """Forge one field of the root."""

    def forge(nodes: Array) -> None:
        nodes[field][0] = value

    return forge


def give_leaves_children(nodes: Array) -> None:
    nodes["left"][nodes["is_leaf"] == 1] = 1


def point_to_no_bitset(nodes: Array) -> None:
    nodes["is_categorical"][0], nodes["feature_idx"][0], nodes["bitset_idx"][0] = 1, 0, 1 << 31


def split_number_by_categories(nodes: Array) -> None:
    nodes["is_categorical"][0], nodes["feature_idx"][0], nodes["bitset_idx"][0] = 1, 2, 0


def go_round(left: str, right: str) -> Callable[[Array], None]:
    def forge(nodes: Array) -> None:
        nodes[left][0] = nodes[right][0] = 0

    return forge


def give_leaves_one_child(nodes: Array) -> None:
    nodes["right_child"][nodes["left_child"] == -1] = 0


BOOSTED: dict[str, tuple[str, Callable[[Array], Array | None]]] = {
    "a feature beyond the columns": ("feature of a tree node is out of bounds", put("feature_idx", 1 << 40)),
    "a feature below the columns": ("feature of a tree node is out of bounds", put("feature_idx", -(1 << 40))),
    "a child beyond the nodes": ("child of a tree node is out of bounds", put("left", (1 << 32) - 1)),
    "a cycle": ("comes before its parent", go_round("left", "right")),
    "a leaf with children": ("a leaf has children", give_leaves_children),
    "no leaf": ("out of bounds", lambda nodes: nodes["is_leaf"].fill(0)),
    "a set of categories that is not there": ("categories of a tree node are out of bounds", point_to_no_bitset),
    "categories of a number": ("categories of a tree node are out of bounds", split_number_by_categories),
    "no node": ("has no nodes", lambda nodes: nodes[:0]),
}
FOREST: dict[str, tuple[str, Callable[[Array], Array | None]]] = {
    "a feature beyond the columns": ("feature of a tree node is out of bounds", put("feature", 1 << 40)),
    "a feature below the columns": ("feature of a tree node is out of bounds", put("feature", -(1 << 40))),
    "a child beyond the nodes": ("child of a tree node is out of bounds", put("left_child", 1 << 40)),
    "a child below the nodes": ("child of a tree node is out of bounds", put("left_child", -(1 << 40))),
    "a cycle": ("comes before its parent", go_round("left_child", "right_child")),
    "a leaf with a child": ("out of bounds", give_leaves_one_child),
}
FORGED = [
    *(("hist_gradient_boosting", *forged) for forged in BOOSTED.values()),
    *(("random_forest", *forged) for forged in FOREST.values()),
]


@pytest.mark.parametrize(
    ("name", "sentence", "forge"),
    FORGED,
    ids=[f"boosted {name}" for name in BOOSTED] + [f"forest {name}" for name in FOREST],
)
def test_a_forged_node_is_a_sentence_and_no_crash(
    name: str, sentence: str, forge: Callable[[Array], Array | None], tmp_path: Path
) -> None:
    path = tmp_path / "model.skops"
    save(saved(name), path)
    forge_nodes(path, forge)
    assert sentence in refusal(path)


def test_a_process_that_asks_a_forged_tree_is_not_crashed(path: Path) -> None:
    forge_nodes(path, put("feature_idx", 1 << 40))
    done = subprocess.run([sys.executable, "-c", ASK, str(path)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done
    assert done.stderr.startswith(f"refused: {path}: not a model file: the feature of a tree node is out of bounds")


@pytest.mark.parametrize("count", ["-1", "0", None])
def test_a_forest_without_nodes_is_a_sentence(count: str | None, tmp_path: Path) -> None:
    path = tmp_path / "model.skops"
    save(saved("random_forest"), path)

    def forge(node: dict[str, Any]) -> dict[str, Any]:
        if node.get("__loader__") == "TreeNode":
            state = node["content"]["content"]
            if count is None:
                state.clear()
            else:
                state["node_count"]["content"] = count
        return node

    rewrite(
        path,
        lambda name, old: json.dumps(json.loads(old, object_hook=forge)).encode() if name == "schema.json" else old,
    )
    assert "a tree has no nodes" in refusal(path)


def shrink_one_hot(pipeline: Pipeline) -> None:
    encoder = pipeline.named_steps["preprocess"].named_transformers_["category"]
    encoder._n_features_outs = [-100_000_000 for _ in encoder._n_features_outs]


def forget_category_columns(pipeline: Pipeline) -> None:
    mapper = pipeline.named_steps["model"]._bin_mapper
    mapper.is_categorical_ = mapper.is_categorical_[:0]


def drop_bitset_words(pipeline: Pipeline) -> None:
    for [tree] in pipeline.named_steps["model"]._predictors:
        tree.raw_left_cat_bitsets = tree.raw_left_cat_bitsets[:, :1].copy()


def narrow_the_rows(pipeline: Pipeline) -> None:
    """Let the trees see fewer columns than they split on, without anybody counting."""
    model = pipeline.named_steps["model"]
    model._preprocessor = None
    del model.n_features_in_
    pipeline.named_steps["preprocess"].transformers_ = pipeline.named_steps["preprocess"].transformers_[:1]


def replace_method(pipeline: Pipeline) -> None:
    pipeline.named_steps["model"]._bin_mapper.make_known_categories_bitsets = functools.partial(check_array, [[1.0]])


def predict_bins(pipeline: Pipeline) -> None:
    pipeline.named_steps["model"]._in_fit = True


def start_processes(pipeline: Pipeline) -> None:
    pipeline.named_steps["preprocess"].n_jobs = 64


def hide_forged_trees(pipeline: Pipeline) -> None:
    """Put the trees where a walk over lists does not find them."""
    model = pipeline.named_steps["model"]
    model.estimators_ = np.array(model.estimators_, dtype=object)
    for tree in model.estimators_:
        state = tree.tree_.__getstate__()
        state["nodes"]["feature"][0] = 1 << 40
        tree.tree_.__setstate__(state)


CHANGED: dict[str, tuple[str, str, Callable[[Pipeline], None]]] = {
    "one-hot columns": ("logistic_regression", "the column of a category is out of bounds", shrink_one_hot),
    "category columns": ("hist_gradient_boosting", "not a model file", forget_category_columns),
    "bitsets": ("hist_gradient_boosting", "categories of a tree node are out of bounds", drop_bitset_words),
    "rows": ("hist_gradient_boosting", "not a model file", narrow_the_rows),
    "bins": ("hist_gradient_boosting", "not ready to predict", predict_bins),
    "processes": ("logistic_regression", "not ready to predict", start_processes),
    "trees in an array": ("random_forest", "feature of a tree node is out of bounds", hide_forged_trees),
    "a method": (
        "hist_gradient_boosting",
        "replaces the method make_known_categories_bitsets of a _BinMapper",
        replace_method,
    ),
}


@pytest.mark.parametrize(("name", "sentence", "change"), CHANGED.values(), ids=CHANGED)
def test_a_model_whose_parts_do_not_fit_is_a_sentence_and_no_crash(
    name: str, sentence: str, change: Callable[[Pipeline], None], tmp_path: Path
) -> None:
    model, path = made(name), tmp_path / "model.skops"
    change(model.pipeline)
    save(model, path)
    assert sentence in refusal(path)


def test_an_estimator_that_is_none_of_ours_is_refused_before_it_is_made(path: Path) -> None:
    svc = SVC().fit([[0.0], [1.0]], [0, 1])
    disguise(path, Pipeline([("preprocess", StandardScaler()), ("model", svc)]))
    assert "it holds the type sklearn.svm._classes.SVC, which our models never hold" in refusal(path)


def test_a_zip_bomb_is_not_unpacked(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content + (b" " * 200_000_000 if name == "schema.json" else b""))
    assert path.stat().st_size < 1_000_000
    assert "is compressed" in refusal(path)


def test_a_member_that_claims_more_than_the_file_has_is_not_read(path: Path) -> None:
    content = path.read_bytes()
    at = content.index(b"PK\x01\x02")
    claimed = (1 << 31).to_bytes(4, "little")
    path.write_bytes(content[: at + 20] + claimed + claimed + content[at + 28 :])
    assert "its members claim 21" in refusal(path)


def test_an_array_that_claims_more_than_its_member_has_is_not_made(path: Path) -> None:
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(out, {"descr": "<f8", "fortran_order": False, "shape": (1 << 40,)})
    rewrite(path, lambda name, old: out.getvalue() if name.endswith(".npy") else old)
    assert "is not an array of the size that it claims" in refusal(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_that_stands_there_twice_is_refused(path: Path) -> None:
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(MANIFEST, archive.read(MANIFEST))
    assert "two members of one name" in refusal(path)


def test_too_many_members_are_refused(path: Path) -> None:
    with zipfile.ZipFile(path, "a") as archive:
        for number in range(100_001):
            archive.writestr(f"{number}.none", b"")
    assert "100000 are allowed" in refusal(path)


@pytest.mark.parametrize("depth", [2_000, 200_000])
@pytest.mark.parametrize("member", [MANIFEST, "schema.json"])
def test_deeply_nested_json_is_a_sentence(member: str, depth: int, path: Path) -> None:
    rewrite(path, lambda name, old: b"[" * depth + b"]" * depth if name == member else old)
    assert "not a model file" in refusal(path)


def test_deeply_nested_parts_are_a_sentence(path: Path) -> None:
    part: dict[str, Any] = {"__class__": "int", "__module__": "builtins", "__loader__": "JsonNode", "content": "1"}
    for _ in range(400):
        part = {"__class__": "list", "__module__": "builtins", "__loader__": "ListNode", "content": [part]}
    part["protocol"] = 2
    rewrite(path, lambda name, old: json.dumps(part).encode() if name == "schema.json" else old)
    assert "not a model file" in refusal(path)


def write_manifest(path: Path, **changed: Any) -> None:
    """Change keys of the manifest; None removes a key, and text is JSON."""

    def edit(name: str, content: bytes) -> bytes:
        if name != MANIFEST:
            return content
        kept = {key: json.dumps(value) for key, value in json.loads(content).items() if key not in changed}
        written = kept | {key: value for key, value in changed.items() if value is not None}
        return f"{{{', '.join(f'{json.dumps(key)}: {value}' for key, value in written.items())}}}".encode()

    rewrite(path, edit)


@pytest.mark.parametrize("value", ["NaN", "2", "-1", '"x"', "null", "true", "[]", "1e999"])
def test_a_base_rate_that_is_no_probability_is_a_sentence(value: str, path: Path) -> None:
    write_manifest(path, base_rate=value)
    assert "its base rate is no probability" in refusal(path)


@pytest.mark.parametrize("value", ["NaN", '"x"', "null", "true", "[]", "-1e999"])
def test_a_cut_that_is_no_number_is_a_sentence(value: str, path: Path) -> None:
    write_manifest(path, cut=value)
    assert "its cut no number" in refusal(path)


def test_a_file_from_before_there_were_cuts_calls_rows_positive_from_its_base_rate_up(path: Path) -> None:
    write_manifest(path, cut=None, calibration=None, exclusions=None, made=None)
    assert load(path).manifest == Manifest(FEATURES, base_rate=0.25, cut=0.25)


CALIBRATIONS = [
    '{"kind": "isotonic", "x": [0, 1], "y": [0]}',
    '{"kind": "isotonic", "x": [], "y": []}',
    '{"kind": "isotonic", "x": [0.5, 0.1], "y": [0, 1]}',
    '{"kind": "isotonic", "x": [0.1, 0.5], "y": [1, 0]}',
    '{"kind": "isotonic", "x": [0, 1], "y": [0, 2]}',
    '{"kind": "isotonic", "x": [0, 1], "y": [-1, 1]}',
    '{"kind": "isotonic", "x": [0, NaN], "y": [0, 1]}',
    '{"kind": "isotonic", "x": [0, 1e999], "y": [0, 1]}',
    '{"kind": "isotonic", "x": "01", "y": "01"}',
    '{"kind": "isotonic", "x": [[0], [1]], "y": [0, 1]}',
    '{"kind": "isotonic", "x": 1, "y": 1}',
    '{"kind": "isotonic", "y": [0, 1]}',
    '{"kind": "sigmoid", "x": [1, 2], "y": [0, 1]}',
    '{"kind": "sigmoid", "x": [NaN], "y": [0]}',
    '{"kind": "sigmoid", "x": [true], "y": ["0"]}',
    '{"kind": "linear", "x": [1], "y": [0]}',
    '{"kind": [], "x": [1], "y": [0]}',
    "[]",
    "1",
    '"sigmoid"',
]


@pytest.mark.parametrize("value", CALIBRATIONS)
def test_a_calibration_that_is_none_is_a_sentence(value: str, path: Path) -> None:
    write_manifest(path, calibration=value)
    assert "not a model file" in refusal(path)


@pytest.mark.parametrize("changed", [{"exclusions": "[1]"}, {"exclusions": '"x"'}, {"made": "1"}, {"made": '"soon"'}])
def test_a_forged_manifest_is_a_sentence(changed: dict[str, str], path: Path) -> None:
    write_manifest(path, **changed)
    assert "not a model file" in refusal(path)
