"""The model file: a skops archive with the features inside. It holds no code, and equal models give equal bytes."""

import io
import json
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import skops.io
from sklearn.pipeline import Pipeline

from champion.core.errors import UserError
from champion.core.files import replacing, sha256_of
from champion.core.values import finite
from champion.model.archive import MANIFEST, SCHEMA, TRUSTED, ForgedError, check_archive
from champion.model.bounds import check_bounds
from champion.model.model import Model
from champion.table.features import describe_features, parse_features

EPOCH = (1980, 1, 1, 0, 0, 0)


def save(model: Model, path: Path) -> None:
    """Write the model. Equal models give equal bytes, as the file has no times, memory ids or compression."""
    manifest = {"features": describe_features(model.features), "base_rate": model.base_rate}
    content = _normalised(skops.io.dumps(model.pipeline), manifest)
    with replacing(path) as draft:
        draft.write_bytes(content)


def load(path: Path, sha256: str | None = None) -> Model:
    """Read a model without running any code from it; if `sha256` is given, the file must have that hash.

    Raises `UserError` when the hash differs, the file is not a model, or it holds what our models never hold: another
    type, more than the file's size, or an index out of bounds.
    """
    found = sha256_of(path)
    if sha256 is not None and found != sha256:
        raise UserError(
            f"{path}: its sha256 is {found}, expected {sha256}. Restore the file (`dvc checkout` or `dvc repro`)."
        )
    try:
        return _read(path)
    except ForgedError as error:
        raise UserError(f"{path}: not a model file: {error}. Run `dvc repro` to make it.") from None
    except Exception as error:
        # A forged file can make skops, NumPy or scikit-learn raise any exception, a RecursionError or MemoryError too.
        raise UserError(f"{path}: not a model file ({type(error).__name__}). Run `dvc repro` to make it.") from None


def _read(path: Path) -> Model:
    with zipfile.ZipFile(path) as archive:
        check_archive(archive, path.stat().st_size)
        manifest = json.loads(archive.read(MANIFEST))
    pipeline = skops.io.load(path, trusted=TRUSTED)
    if not isinstance(pipeline, Pipeline):
        raise ForgedError(f"it holds a {type(pipeline).__name__}, not a model")
    features, base_rate = parse_features(manifest["features"]), finite(manifest["base_rate"])
    if base_rate is None or not 0 <= base_rate <= 1:
        raise ForgedError("its base rate is no probability")
    check_bounds(pipeline, features)
    return Model(pipeline, features, base_rate)


def _normalised(archive: bytes, manifest: Mapping[str, Any]) -> bytes:
    """The archive with a fixed date, and with memory ids and member names renumbered in order of appearance.

    It is not compressed, because different zlib builds give different bytes.
    """
    source = zipfile.ZipFile(io.BytesIO(archive))
    schema = source.read(SCHEMA).decode("utf-8")
    order: dict[str, str] = {}
    for identifier in re.findall(r'"__id__": (\d+)', schema):
        order.setdefault(identifier, str(len(order)))
    schema = re.sub(r'"__id__": (\d+)', lambda match: f'"__id__": {order[match[1]]}', schema)
    members = {}
    for name in source.namelist():
        stem, dot, suffix = name.partition(".")
        if name != SCHEMA:
            members[name] = f"{order[stem]}{dot}{suffix}"
            schema = schema.replace(f'"{name}"', f'"{members[name]}"')
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as out:
        out.writestr(zipfile.ZipInfo(MANIFEST, EPOCH), json.dumps(manifest, sort_keys=True))
        out.writestr(zipfile.ZipInfo(SCHEMA, EPOCH), schema)
        for name in sorted(members, key=lambda name: int(members[name].partition(".")[0])):
            out.writestr(zipfile.ZipInfo(members[name], EPOCH), _without_padding(source.read(name)))
    return target.getvalue()


def _without_padding(content: bytes) -> bytes:
    """The array file with zeros in the padding of its records (the nodes of a tree), not random memory."""
    array = np.load(io.BytesIO(content), allow_pickle=False)
    if array.dtype.names is None:
        return content
    clean = np.zeros(array.shape, array.dtype)
    for name in array.dtype.names:
        clean[name] = array[name]
    out = io.BytesIO()
    np.save(out, clean, allow_pickle=False)
    return out.getvalue()
