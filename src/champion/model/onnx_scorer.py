"""A model as its ONNX file: the same answers as `Model` gives, faster, and without scikit-learn."""

import json
import os
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from champion.core.errors import UserError
from champion.core.files import checked_bytes
from champion.model.manifest import Manifest
from champion.table.features import Feature, treat
from champion.table.rows import ReadRow, RowReader

if TYPE_CHECKING:
    import onnxruntime
    import pandas as pd

# The graph's inputs and output.
NUMBERS, CATEGORIES, PROBABILITY = "numbers", "categories", "probability"
# The file's metadata: the manifest, and the texts of each category that training saw.
MANIFEST, KNOWN = "champion.manifest", "champion.known"
# ONNX has no missing text. These marks are of Unicode's private use; `UNSEEN` stands for a text that cannot be given.
MISSING, UNSEEN = "\ue000", "\ue001"
# How far an answer may differ from the model's: files have six decimals. It differs in the last digits of a float, as
# the graph adds up in another order.
TOLERANCE = 1e-6
# More rows in one run of the session are not faster, and need more memory.
ROWS_AT_ONCE = 8192


class Reading(NamedTuple):
    """A row as the graph reads it, and the names of the values that are as good as missing, by reason.

    `invalid` values lie outside the declared values or range; `unseen` categories are those that training did not see.
    """

    numbers: list[float]
    texts: list[str]
    invalid: list[str]
    unseen: list[str]


@dataclass(frozen=True, eq=False)
class OnnxScorer:
    """An open ONNX file with its manifest, and the texts that each category `known` in training had.

    A file of before this was written names no texts.
    """

    session: "onnxruntime.InferenceSession"
    manifest: Manifest
    known: Mapping[str, Set[str]]

    @classmethod
    def open(cls, path: Path, sha256: str | None = None) -> Self:
        """Open the file that export wrote; if `sha256` is given, the file must have that hash.

        Raises `UserError` when it is missing, has another hash or is no such file.
        """
        return cls.parse(checked_bytes(path, sha256), str(path))

    @classmethod
    def parse(cls, content: bytes, name: str) -> Self:
        """The scorer in these bytes, which `name` stands for in an error."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        # A row is too small to share, and more threads would add up in another order.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        # The hash covers only these bytes, so nothing may come from another file: there is no file in this folder.
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", os.devnull)
        try:
            session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
            described = session.get_modelmeta().custom_metadata_map
            manifest = Manifest.parse(json.loads(described[MANIFEST]))
            known = {name: frozenset(texts) for name, texts in json.loads(described.get(KNOWN, "{}")).items()}
            _check_inputs({one.name: one.shape[1] for one in session.get_inputs()}, manifest)
        except Exception as error:
            # ONNX Runtime has many exceptions for a file that is none of ours.
            raise UserError(
                f"{name}: not an ONNX file of a model ({type(error).__name__}). Run `dvc repro` to make it."
            ) from None
        return cls(session, manifest, known)

    @property
    def features(self) -> list[Feature]:
        """The columns that the model reads."""
        return self.manifest.features

    def predict(self, rows: "pl.DataFrame | pd.DataFrame") -> NDArray[np.float64]:
        """The same as `Model.predict`: a probability for each row, shape (rows,)."""
        return self.predict_treated(treat(rows, self.features))

    def predict_treated(self, treated: pl.DataFrame) -> NDArray[np.float64]:
        """The probabilities of rows that `treat` gave."""
        # Without numbers, Polars would give no rows either.
        shape = treated.height, len(self._numbers)
        numbers = treated.select(pl.col(self._numbers).fill_null(np.nan)).to_numpy().reshape(shape)
        texts, codes = self._coded(treated)
        # Similar rows, one after the other, take the same way through the trees. This saves a third of the time, as a
        # processor guesses each turn by the last ones.
        order = np.lexsort(codes.T) if codes.size else np.arange(treated.height)
        found = np.empty(treated.height)
        for start in range(0, treated.height, ROWS_AT_ONCE):
            rows = order[start : start + ROWS_AT_ONCE]
            found[rows] = self.probabilities(numbers[rows], texts[codes[rows]])
        return found

    def predict_row(self, values: Mapping[str, Any]) -> float:
        """The same as `Model.predict_row`: the probability of one row, given as Python values by name."""
        return float(self.score([self.read(values)])[0])

    def read(self, values: Mapping[str, Any]) -> Reading:
        """One row, given as Python values by name, for `score`. Raises `UserError` as `predict` does."""
        row = self._reader.read(values)
        try:
            # In most rows, training saw each text.
            texts = [marks[text] for marks, text in zip(self._marks, row.texts, strict=True)]
        except KeyError:
            return self._read_unseen(row)
        return Reading(row.numbers, texts, row.invalid, [])

    def _read_unseen(self, row: ReadRow) -> Reading:
        texts, unseen = [], []
        for name, marks, text in zip(self._categories, self._marks, row.texts, strict=True):
            if text is not None and name not in self.known:
                texts.append(_marked(text))
            elif text in marks:
                texts.append(marks[text])
            else:
                texts.append(UNSEEN)
                unseen.append(name)
        return Reading(row.numbers, texts, row.invalid, unseen)

    def score(self, rows: Sequence[Reading]) -> NDArray[np.float64]:
        """A probability for each of these rows, which are at least one, shape (rows,)."""
        return self.probabilities([row.numbers for row in rows], [row.texts for row in rows])

    @cached_property
    def _reader(self) -> RowReader:
        return RowReader(self.features)

    @cached_property
    def _marks(self) -> list[dict[str | None, str]]:
        """For each category, what the graph reads instead of a text that training saw, or of none."""
        return [{None: MISSING} | {text: text for text in self.known.get(name, ())} for name in self._categories]

    @cached_property
    def _numbers(self) -> list[str]:
        return [feature.name for feature in self.features if feature.kind == "number"]

    @cached_property
    def _categories(self) -> list[str]:
        return [feature.name for feature in self.features if feature.kind == "category"]

    def _coded(self, treated: pl.DataFrame) -> tuple[NDArray[np.object_], NDArray[np.int32]]:
        """The categories' different texts as the graph reads them, and the place of each row's texts in them."""
        texts, codes = [MISSING], np.zeros((treated.height, len(self._categories)), np.int32)
        for position, name in enumerate(self._categories):
            # Each text is made once, not for every row.
            coded = treated[name].to_arrow().dictionary_encode()
            codes[:, position] = pl.Series(coded.indices).fill_null(-len(texts)).to_numpy() + len(texts)
            # A row's own text is no mark.
            texts += [UNSEEN if text == MISSING else text for text in pl.Series(coded.dictionary)]
        return np.array(texts, object), codes

    def probabilities(self, numbers: Any, texts: Any) -> NDArray[np.float64]:
        """The probabilities of rows that are read already: their numbers and texts, each of shape (rows, columns)."""
        # A graph without numbers, or without categories, has no such input.
        given = {NUMBERS: np.asarray(numbers, np.float64), CATEGORIES: np.asarray(texts, object)}
        given = {name: array for name, array in given.items() if array.shape[1]}
        found: NDArray[np.float64] = self.session.run([PROBABILITY], given)[0]
        return found


def _check_inputs(found: Mapping[str, int], manifest: Manifest) -> None:
    kinds = [feature.kind for feature in manifest.features]
    expected = {NUMBERS: kinds.count("number"), CATEGORIES: kinds.count("category")}
    if found != {name: count for name, count in expected.items() if count}:
        raise ValueError("the graph reads other columns than the manifest says")


def _marked(text: str) -> str:
    """A category as the graph reads it: a row's own text is no mark, and a lone surrogate is no text."""
    valid = text != MISSING and text.encode("utf-8", "ignore").decode() == text
    return text if valid else UNSEEN
