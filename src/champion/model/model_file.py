"""The model file: a skops archive with its manifest. It holds no code, and equal models give equal bytes."""

import io
import json
import re
import zipfile
from pathlib import Path

import numpy as np
import skops.io
from sklearn.pipeline import Pipeline

from champion.core.errors import UserError
from champion.core.files import checked_bytes
from champion.model.archive import MANIFEST, SCHEMA, TRUSTED, ForgedError, check_archive, manifest_member, write_archive
from champion.model.bounds import check_bounds
from champion.model.manifest import Manifest
from champion.model.model import Model


def save(model: Model, path: Path) -> None:
    """Write the model. Equal models give equal bytes, as the file has no times, memory ids or compression."""
    write_archive(manifest_member(model.manifest) | _normalised(skops.io.dumps(model.pipeline)), path)


def save_pipeline(pipeline: Pipeline, path: Path) -> None:
    """Write only the fitted pipeline of a model, for `complete`. Equal pipelines give equal bytes."""
    write_archive(_normalised(skops.io.dumps(pipeline)), path)


def load(path: Path, sha256: str | None = None) -> Model:
    """Read a model without running any code from it; if `sha256` is given, the file must have that hash.

    Raises `UserError` when the hash differs, the file is not a model, or it holds what our models never hold: another
    type, more than the file's size, or an index out of bounds.
    """
    checked_bytes(path, sha256)
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
        content = json.loads(archive.read(MANIFEST))
    pipeline = skops.io.load(path, trusted=TRUSTED)
    if not isinstance(pipeline, Pipeline):
        raise ForgedError(f"it holds a {type(pipeline).__name__}, not a model")
    try:
        manifest = Manifest.parse(content)
    except ValueError as error:
        raise ForgedError(str(error)) from None
    check_bounds(pipeline, manifest.features)
    return Model(pipeline, manifest)


def _normalised(archive: bytes) -> dict[str, bytes]:
    """The archive's members, with memory ids and their names renumbered in order of appearance."""
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
    # In one pass: a schema has megabytes, and a model hundreds of members.
    schema = re.sub(r'"(\d+\.\w+)"', lambda match: f'"{members.get(match[1], match[1])}"', schema)
    in_order = sorted(members, key=lambda name: int(members[name].partition(".")[0]))
    arrays = {members[name]: _without_padding(source.read(name)) for name in in_order}
    return {SCHEMA: schema.encode(), **arrays}


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
