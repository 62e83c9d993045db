"""The archive that a model file is: how it is written, and what it may hold.

What it holds is checked before anything is unpacked, so a forged file fills no memory. Nothing here needs scikit-learn.
"""

import io
import json
import math
import zipfile
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from numpy.lib import format as npy

from champion.core.files import replacing
from champion.model.manifest import Manifest

MANIFEST = "champion.json"
SCHEMA = "schema.json"
EPOCH = (1980, 1, 1, 0, 0, 0)
MEMBERS = 100_000
PROTOCOL = 2
ARRAY = npy.magic(1, 0)

# Types that skops does not trust by default. A partial is harmless if its function is, which must be in this list too.
TRUSTED = [
    "functools.partial",
    "numpy.clip",
    "numpy.dtype",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.tree._tree.Tree",
    "sklearn.utils.validation.check_array",
]
# All types of our models. Skops trusts many more by default, and some of them crash when their state is forged.
TYPES = {
    *TRUSTED,
    "builtins.bool",
    "builtins.dict",
    "builtins.float",
    "builtins.int",
    "builtins.list",
    "builtins.slice",
    "builtins.str",
    "builtins.tuple",
    "numpy.float64",
    "numpy.int64",
    "numpy.ndarray",
    "numpy.random._generator.Generator",
    "numpy.uint64",
    "sklearn._loss._loss.CyHalfBinomialLoss",
    "sklearn._loss.link.Interval",
    "sklearn._loss.link.LogitLink",
    "sklearn._loss.loss.HalfBinomialLoss",
    "sklearn.compose._column_transformer.ColumnTransformer",
    "sklearn.discriminant_analysis.LinearDiscriminantAnalysis",
    "sklearn.ensemble._forest.ExtraTreesClassifier",
    "sklearn.ensemble._forest.RandomForestClassifier",
    "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
    "sklearn.ensemble._hist_gradient_boosting.gradient_boosting.HistGradientBoostingClassifier",
    "sklearn.ensemble._voting.VotingClassifier",
    "sklearn.impute._base.MissingIndicator",
    "sklearn.impute._base.SimpleImputer",
    "sklearn.linear_model._logistic.LogisticRegression",
    "sklearn.pipeline.Pipeline",
    "sklearn.preprocessing._data.StandardScaler",
    "sklearn.preprocessing._encoders.OneHotEncoder",
    "sklearn.preprocessing._encoders.OrdinalEncoder",
    "sklearn.preprocessing._function_transformer.FunctionTransformer",
    "sklearn.preprocessing._label.LabelEncoder",
    "sklearn.tree._classes.DecisionTreeClassifier",
    "sklearn.tree._classes.ExtraTreeClassifier",
}
LOADERS = {
    "DTypeNode",
    "DictNode",
    "FunctionNode",
    "JsonNode",
    "ListNode",
    "LossNode",
    "NdArrayNode",
    "ObjectNode",
    "PartialNode",
    "RandomGeneratorNode",
    "SliceNode",
    "TreeNode",
    "TupleNode",
    "TypeNode",
}


class ForgedError(ValueError):
    """The file is not one that we write; the message says why."""


def manifest_member(manifest: Manifest) -> dict[str, bytes]:
    """The manifest as a member of the archive."""
    return {MANIFEST: json.dumps(manifest.describe(), sort_keys=True).encode()}


def write_archive(members: Mapping[str, bytes], path: Path) -> None:
    """Write the archive with a fixed date, uncompressed, because different zlib builds give different bytes."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as out:
        for name, member in members.items():
            out.writestr(zipfile.ZipInfo(name, EPOCH), member)
    with replacing(path) as draft:
        draft.write_bytes(content.getvalue())


def complete(source: Path, manifest: Manifest, path: Path) -> None:
    """Write the model whose pipeline `save_pipeline` wrote to `source`: the bytes that `save` would write."""
    with zipfile.ZipFile(source) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    write_archive(manifest_member(manifest) | members, path)


def check_archive(archive: zipfile.ZipFile, size: int) -> None:
    """Raise `ForgedError` if the archive claims more bytes than its file has, or holds another type than our models.

    A broken archive can raise any other exception.
    """
    _check_sizes(archive.infolist(), size)
    for member in archive.infolist():
        if member.filename not in (MANIFEST, SCHEMA):
            _check_array(member.filename, archive.read(member))
    _check_types(archive.read(SCHEMA))


def _check_sizes(members: list[zipfile.ZipInfo], size: int) -> None:
    if len(members) > MEMBERS:
        raise ForgedError(f"it has {len(members)} members, and {MEMBERS} are allowed")
    if len({member.filename for member in members}) < len(members):
        raise ForgedError("it has two members of one name")
    for member in members:
        if member.compress_type != zipfile.ZIP_STORED or member.compress_size != member.file_size:
            raise ForgedError(f"its member {member.filename!a} is compressed, which ours never are")
    claimed = sum(member.file_size for member in members)
    if claimed > size:
        raise ForgedError(f"its members claim {claimed} bytes, and the whole file has {size}")


def _check_array(name: str, content: bytes) -> None:
    """The header must claim exactly the bytes that follow it."""
    end = 10 + int.from_bytes(content[8:10], "little")
    if not content.startswith(ARRAY) or _claimed(content[:end]) != len(content) - end:
        raise ForgedError(f"its member {name!a} is not an array of the size that it claims")


@lru_cache
def _claimed(header: bytes) -> int:
    """The size of the array in bytes. Most trees of a forest have the same headers."""
    stream = io.BytesIO(header)
    npy.read_magic(stream)
    shape, _, dtype = npy.read_array_header_1_0(stream)
    if dtype.hasobject or not dtype.itemsize:
        raise ForgedError(f"it holds an array of {dtype}, which our models never hold")
    return math.prod(shape) * dtype.itemsize


def _check_types(schema: bytes) -> None:
    found: set[tuple[str, str]] = set()

    def note(node: dict[str, Any]) -> dict[str, Any]:
        if "__loader__" in node:
            found.add((f"{node['__module__']}.{node['__class__']}", node["__loader__"]))
        return node

    content = json.loads(schema, object_hook=note)
    foreign = sorted(name for name, _ in found if name not in TYPES)
    if foreign:
        raise ForgedError(f"it holds the type {foreign[0]}, which our models never hold")
    loaders = sorted(loader for _, loader in found if loader not in LOADERS)
    if loaders or content["protocol"] != PROTOCOL:
        raise ForgedError(f"it is read by {loaders[0] if loaders else 'another protocol'}, which our models never are")
