"""How a version scores the rows of a table, batch by batch."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from champion.core.errors import ConflictError, UserError
from champion.model.model import is_positive
from champion.model.onnx_scorer import OnnxScorer
from champion.model.scores import SCORE
from champion.serving.table_files import TableFile, fits_csv
from champion.table.columns import ColumnType
from champion.table.exclusions import Bounds, Exclusions, Value, excluding_rule, parse_exclusions
from champion.table.features import EXPECTED, accepts, treat
from champion.table.fields import MISSING_VALUES, read_text

DECISION, OUT_OF_SCOPE, VERSION = "decision", "out_of_scope", "version"
ADDED = pa.schema([(SCORE, pa.float64()), (DECISION, pa.bool_()), (OUT_OF_SCOPE, pa.string()), (VERSION, pa.string())])


@dataclass(frozen=True)
class Scored:
    """A batch as it is written, the scores of its rows in scope, and counts."""

    batch: pa.RecordBatch
    scores: NDArray[np.float64]
    out_of_scope: int
    emptied: int


@dataclass(frozen=True)
class Scoring:
    """How the rows of a table are scored by a version."""

    version: str
    scorer: OnnxScorer
    table: TableFile

    def check(self, target: str) -> None:
        """Raise `UserError` naming a column that is missing, has the wrong type, or has the name of an answer."""
        self.check_read()
        name = self.table.name
        for field in self._kept:
            if field.name in ADDED.names:
                raise UserError(f"{name}: the column {field.name!r} has the name of a column of the answer. Rename it.")
            if target.endswith(".csv") and not fits_csv(field.type):
                raise UserError(
                    f"{name}: the column {field.name!r} holds {field.type}, which CSV cannot hold. Let OUT be a "
                    "Parquet file, or leave the column out."
                )

    def check_read(self) -> None:
        """Raise `UserError` naming a column that the version reads, and that is missing or has the wrong type."""
        name, types = self.table.name, {field.name: field.type for field in self.table.schema}
        for column, wanted in self._read.items():
            if column not in types:
                raise UserError(f"{name}: {self.version} needs the column {column!r}, which is missing. Add it.")
            found = types[column]
            if not self.table.as_text and not accepts(wanted, pl.Series(pa.nulls(0, found)).dtype):
                raise UserError(
                    f"{name}: the column {column!r} holds {found}, but {self.version} needs {EXPECTED[wanted]}. "
                    "Convert the column."
                )

    @property
    def schema(self) -> pa.Schema:
        """The columns of the answer: those of the table that are no features, and what the version says."""
        return pa.schema([*self._kept, *ADDED])

    def score(self, first: int, batch: pa.RecordBatch, known: NDArray[np.float64] | None) -> Scored:
        """The answer to rows of the table, of which `first` is the number of the first.

        With `known`, the scores of an earlier run, they are not computed again.
        """
        rows, treated, rules = self.read(first, batch)
        outside = rules.is_not_null()
        inside = treated.filter(~outside) if outside.any() else treated
        scores = self.scorer.predict_treated(inside) if known is None else known
        if np.isnan(scores).any():
            raise UserError(f"{self.version} gives no number as the probability of a row. Choose another version.")
        if len(scores) != inside.height:
            raise ConflictError(f"the journal of {self.table.name} has the scores of other rows. Run it again.")
        probability = np.full(len(batch), np.nan)
        probability[(~outside).to_numpy()] = scores
        positive = is_positive(probability, self.scorer.manifest.cut)
        # Not by Arrow's own functions, which import pandas.
        added = pl.DataFrame({SCORE: probability, DECISION: positive}).select(
            pl.when(~outside).then(pl.all()),
            rules.alias(OUT_OF_SCOPE),
            pl.repeat(self.version, pl.len()).alias(VERSION),
        )
        answers = [added[field.name].to_arrow().cast(field.type) for field in ADDED]
        kept = [_plain(batch.column(field.name)) for field in self._kept]
        return Scored(
            pa.RecordBatch.from_arrays([*kept, *answers], schema=self.schema),
            scores,
            int(outside.sum()),
            sum(treated[name].null_count() - _missing(rows[name]) for name in treated.columns),
        )

    def read(self, first: int, batch: pa.RecordBatch) -> tuple[pl.DataFrame, pl.DataFrame, pl.Series]:
        """The columns that the version reads, the features as `treat` gives them, and the rule that excludes each row.

        `first` is as in `score`. Raises `UserError` naming a value of the wrong type.
        """
        rows = cast(pl.DataFrame, pl.from_arrow(batch.select(list(self._read))))
        if self.table.as_text:
            rows = self._parsed(first, rows)
        try:
            treated = treat(rows, self.scorer.features)
        except UserError as error:
            raise UserError(f"{self.table.name}, rows {first} to {first + len(batch) - 1}: {error}") from None
        return rows, treated, rows.select(excluding_rule(self._exclusions)).to_series()

    @cached_property
    def _exclusions(self) -> Exclusions:
        return parse_exclusions(self.scorer.manifest.exclusions)

    @cached_property
    def _read(self) -> Mapping[str, ColumnType]:
        """The types of the features, and of the other columns that the rules read."""
        features: dict[str, ColumnType] = {feature.name: feature.type for feature in self.scorer.features}
        rules = {name: _type_of(one) for rule in self._exclusions.values() for name, one in rule.items()}
        return features | {name: found for name, found in rules.items() if name not in features}

    @cached_property
    def _kept(self) -> list[pa.Field]:
        features = {feature.name for feature in self.scorer.features}
        kept = [field for field in self.table.schema if field.name not in features]
        return [field.with_type(field.type.value_type) if _is_coded(field.type) else field for field in kept]

    def _parsed(self, first: int, texts: pl.DataFrame) -> pl.DataFrame:
        """The texts of a CSV file, with the declared types as ingest reads them."""
        missing = pl.all().replace(dict.fromkeys(MISSING_VALUES))
        texts = texts.select(missing)
        fields = [read_text(name, wanted, self.scorer.manifest.form) for name, wanted in self._read.items()]
        rows = texts.select(field.value.alias(field.name) for field in fields)
        for field in fields:
            if field.origin is None:
                continue
            failed = texts.select((field.origin.is_not_null() & field.value.is_null()).arg_true()).to_series()
            if len(failed):
                raise UserError(
                    f"{self.table.name}: {texts[field.name][failed[0]]!r} in row {first + failed[0]} of column "
                    f"{field.name!r} is not {EXPECTED[self._read[field.name]]}. Correct it."
                )
        return rows


def _type_of(condition: Bounds | Value) -> ColumnType:
    """The type of a column that a rule can compare with the condition."""
    if isinstance(condition, bool):
        return "boolean"
    return "category" if isinstance(condition, str) else "number"


def _is_coded(found: pa.DataType) -> bool:
    return bool(pa.types.is_dictionary(found))


def _plain(values: pa.Array) -> pa.Array:
    return values.cast(values.type.value_type) if _is_coded(values.type) else values


def _missing(values: pl.Series) -> int:
    nan = int(values.is_nan().sum()) if values.dtype.is_float() else 0
    return values.null_count() + nan
