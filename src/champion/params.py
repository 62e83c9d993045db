"""params.yaml as frozen models: every key is checked, and an unknown one is an error that names it."""

from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from champion.errors import UserError
from champion.faults import did_you_mean, sentence

PARAMS_FILE = Path("params.yaml")


def _quoted_date(value: Any) -> date:
    try:
        day = date.fromisoformat(value)
    except TypeError:
        # DVC cannot track a YAML date.
        raise ValueError('write the date in quotes, such as "2010-01-01"') from None
    except ValueError:
        raise ValueError(f'{value!r} is not a date such as "2010-01-01"') from None
    if day.year < 1000:
        # The window, of up to 200 years, must begin after year 0.
        raise ValueError(f"{value!r} is before the year 1000")
    return day


def _in_order(bounds: tuple[float | None, float | None], name: str) -> None:
    low, high = bounds
    if low is not None and high is not None and low > high:
        raise ValueError(f"`{name}`: the lower bound {low:g} is above the upper bound {high:g}")


Share = Annotated[float, Field(ge=0, le=1)]
AsOf = Annotated[date, BeforeValidator(_quoted_date)]
Months = Annotated[int, Field(ge=1, le=1200)]
ColumnType = Literal["integer", "number", "category", "boolean", "date"]
Role = Literal["feature", "label", "id", "date", "ignore"]


class Section(BaseModel):
    """A part of params.yaml: immutable, strict about types (no text for a number), closed to unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class WheelSource(Section):
    """A CSV file inside an installed wheel that the lock pins by hash; the wheel is never imported."""

    source: Literal["wheel"]
    distribution: str
    path: str
    sha256: str
    adapter: Literal["loans"] | None = None
    date_format: str | None = None


class FileSource(Section):
    """A CSV or Parquet file, which lives in `data/source/` so that DVC sees it change."""

    source: Literal["file"]
    path: str
    separator: Annotated[str, Field(min_length=1, max_length=1)] = ","
    adapter: Literal["loans"] | None = None
    date_format: str | None = None


class SqlSource(Section):
    """A table or a query, read from the SQLAlchemy URL that the environment variable `url_env` holds."""

    source: Literal["sql"]
    table: str | None = None
    query: str | None = None
    url_env: str = "CHAMPION_SOURCE_URL"
    adapter: None = None
    date_format: str | None = None

    @model_validator(mode="after")
    def _table_or_query(self) -> Self:
        if (self.table is None) == (self.query is None):
            raise ValueError("give either `table` or `query`")
        return self


Source = Annotated[WheelSource | FileSource | SqlSource, Field(discriminator="source")]


class Column(Section):
    """What one column is. A value outside `values` or `range` is a stray: counted by validate, emptied by prepare."""

    type: ColumnType
    role: Role = "feature"
    values: tuple[str, ...] | None = Field(default=None, strict=False)
    range: tuple[float | None, float | None] | None = Field(default=None, strict=False)

    @model_validator(mode="after")
    def _fits_type(self) -> Self:
        if self.values is not None and self.type != "category":
            raise ValueError("`values` is for a column of type category")
        if self.range is not None and self.type not in ("integer", "number"):
            raise ValueError("`range` is for a column of type integer or number")
        if self.range is not None:
            _in_order(self.range, "range")
        if self.role == "feature" and self.type == "date":
            raise ValueError("a date cannot be a feature; give it the role date, label or ignore")
        return self


class Label(Section):
    """When the label is 1.

    `event`: the label column is a date, and 1 means it falls within `horizon_months` of the row's own date.
    `value`: the label column holds one of `positive`; the answer is known `horizon_months` after the row's date.
    """

    kind: Literal["event", "value"]
    horizon_months: Annotated[int, Field(ge=0, le=1200)] = 0
    positive: tuple[str | bool | int, ...] = Field(default=(), strict=False)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.kind == "event" and (self.horizon_months == 0 or self.positive):
            raise ValueError("an event label needs `horizon_months` of at least 1 and no `positive`")
        if self.kind == "value" and not self.positive:
            raise ValueError("a value label needs `positive`, the values that count as 1")
        return self


class Split(Section):
    """How held-out rows are chosen: the last `test_months` of the window, or a seeded stratified `test_share`."""

    strategy: Literal["out_of_time", "stratified"]
    test_months: Months = 12
    test_share: Annotated[float, Field(gt=0, lt=1)] = 0.2
    seed: Annotated[int, Field(ge=0)] = 0


class Limits(Section):
    """The share of one raw column's rows that may be missing, and that may be stray."""

    max_missing: Share = 0.0
    max_stray: Share = 0.0


class Contract(Section):
    """What the data must look like; a breach stops the pipeline. Columns not named allow nothing missing or stray."""

    rows: tuple[Annotated[int, Field(ge=1)], int | None] = Field(strict=False)
    class_share: tuple[Share, Share] = Field(strict=False)
    leak_auc: Annotated[float, Field(gt=0.5, le=1)]
    max_events_before_start: Share = 0.0
    columns: dict[str, Limits] = {}

    @model_validator(mode="after")
    def _bounds_in_order(self) -> Self:
        _in_order(self.rows, "rows")
        _in_order(self.class_share, "class_share")
        return self


class Search(Section):
    """How hyper-parameters are chosen, by k-fold cross-validation on training rows only."""

    method: Literal["none", "grid", "halving", "random"]
    folds: Annotated[int, Field(ge=2, le=50)] = 5
    scoring: Literal["roc_auc", "average_precision", "neg_brier_score", "neg_log_loss", "f1_weighted"] = "roc_auc"
    candidates: Annotated[int, Field(ge=1)] = 10
    grid: dict[str, Annotated[list[Any], Field(min_length=1)]] = {}

    @model_validator(mode="after")
    def _has_grid(self) -> Self:
        if self.method != "none" and not self.grid:
            raise ValueError(f"method `{self.method}` needs a `grid`")
        return self


class Train(Section):
    """The model. The section named like an estimator holds that scikit-learn estimator's own parameters."""

    estimator: Literal["hist_gradient_boosting", "random_forest", "logistic_regression"]
    hist_gradient_boosting: dict[str, Any] = {}
    random_forest: dict[str, Any] = {}
    logistic_regression: dict[str, Any] = {}
    max_categories: Annotated[int, Field(ge=2, le=250)] = 100
    seed: Annotated[int, Field(ge=0)] = 0
    search: Search


class Evaluate(Section):
    """How held-out rows are scored. A row is called positive from `threshold` up; `base_rate` is the training share."""

    threshold: Annotated[float, Field(gt=0, lt=1)] | Literal["base_rate"] = "base_rate"
    bootstrap_samples: Annotated[int, Field(ge=100, le=100_000)] = 1000
    seed: Annotated[int, Field(ge=0)] = 0
    segments: tuple[str, ...] = Field(default=(), strict=False)
    segment_min_rows: Annotated[int, Field(ge=1)] = 500
    importance_rows: Annotated[int, Field(ge=1)] = 10_000
    importance_repeats: Annotated[int, Field(ge=1)] = 5


class Gate(Section):
    """The bounds within which one held-out metric must lie; a bound itself passes."""

    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError("give `min`, `max` or both")
        _in_order((self.min, self.max), "min")
        return self


class Compare(Section):
    """How far each held-out metric may move the wrong way, against a base, before `champion compare` fails."""

    tolerances: dict[str, Annotated[float, Field(ge=0)]] = {}


class Challenge(Section):
    """What a challenger must show against the champion, on held-out rows that neither trained on."""

    metric: Literal["roc_auc", "f1_weighted"] = "roc_auc"
    margin: Annotated[float, Field(ge=0, lt=1)] = 0.01
    min_rows: Annotated[int, Field(ge=2)] = 1000
    samples: Annotated[int, Field(ge=100, le=100_000)] = 1000
    seed: Annotated[int, Field(ge=0)] = 0


class Columns(dict[str, Column]):
    """The table's columns in their order, with the lookups by role that the stages need."""

    def named(self, role: Role) -> list[str]:
        """Names of the columns that have the role, in order."""
        return [name for name, column in self.items() if column.role == role]

    def only(self, role: Role) -> str | None:
        """Name of the one column that has the role, or None."""
        return next(iter(self.named(role)), None)

    @property
    def label(self) -> str:
        """Name of the label column."""
        return self.named("label")[0]


class Sections(Section):
    """The sections of params.yaml that one reader uses; a stage declares exactly its own in a subclass."""

    # Whether the reader declares every section there is, so that another one is a mistake.
    whole: ClassVar[bool] = False

    @model_validator(mode="after")
    def _sections_agree(self) -> Self:
        columns: dict[str, Column] | None = getattr(self, "columns", None)
        if columns is not None:
            _check_roles(columns)
            _check_label(Columns(columns), getattr(self, "label", None), getattr(self, "split", None), self)
        contract: Contract | None = getattr(self, "contract", None)
        if columns is not None and contract is not None:
            _check_known(contract.columns, columns, "contract.columns")
        return self

    @property
    def table(self) -> Columns:
        """The declared columns, with lookups by role."""
        return Columns(getattr(self, "columns"))  # noqa: B009 - not every reader has the section


class Params(Sections):
    """The whole of params.yaml."""

    whole: ClassVar[bool] = True
    as_of: AsOf | None
    ingest: Source
    columns: dict[str, Column]
    label: Label
    window_months: Months | None
    split: Split
    contract: Contract
    train: Train
    evaluate: Evaluate
    gates: dict[str, Gate]
    compare: Compare = Compare()
    challenge: Challenge = Challenge()


SectionsT = TypeVar("SectionsT", bound=Sections)


def load(model: type[SectionsT], path: Path = PARAMS_FILE) -> SectionsT:
    """Read the sections that `model` declares from params.yaml (one that is `whole` also refuses any other).

    Raises `UserError` naming the key at fault and the nearest known one.
    """
    try:
        document = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file. Run this where params.yaml is: the repository's root.") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not valid YAML ({' '.join(str(error).split())}).") from None
    if not isinstance(document, dict):
        raise UserError(f"{path}: expected sections such as `train:`, found none.")
    wanted = document if model.whole else {k: v for k, v in document.items() if k in model.model_fields}
    try:
        return model.model_validate(wanted)
    except ValidationError as error:
        raise UserError(sentence(path, model, wanted, error)) from None


def _check_roles(columns: Mapping[str, Column]) -> None:
    roles = [column.role for column in columns.values()]
    if roles.count("label") != 1:
        raise ValueError(f"columns: exactly one column needs the role label, found {roles.count('label')}")
    for role in ("id", "date"):
        if roles.count(role) > 1:
            raise ValueError(f"columns: at most one column can have the role {role}, found {roles.count(role)}")
    if "feature" not in roles:
        raise ValueError("columns: no column has the role feature")
    if any(column.role == "date" and column.type != "date" for column in columns.values()):
        raise ValueError("columns: the column with the role date needs the type date")
    if "target" in columns:
        raise ValueError("columns: the name `target` is taken by the label that prepare makes; rename the column")


def _check_label(columns: Columns, label: Label | None, split: Split | None, sections: Sections) -> None:
    dated = columns.only("date") is not None
    if label is not None:
        if label.kind == "event" and not (dated and columns[columns.label].type == "date"):
            raise ValueError("label: an event label needs a column with the role date and a label column of type date")
        if label.kind == "value" and columns[columns.label].type == "date":
            raise ValueError("label: a value label cannot be read from a label column of type date")
        if label.kind == "value" and columns[columns.label].type != "category":
            _check_numbers(label.positive, columns[columns.label].type)
    if split is not None and split.strategy == "out_of_time" and not dated:
        raise ValueError("split: out_of_time needs a column with the role date; without one, use stratified")
    for key in ("as_of", "window_months"):
        if key in type(sections).model_fields and dated != (getattr(sections, key) is not None):
            fix = "set it" if dated else "set it to null"
            raise ValueError(f"{key}: the table has {'a' if dated else 'no'} column with the role date, so {fix}")


def _check_numbers(positive: Iterable[str | bool | int], column_type: ColumnType) -> None:
    for value in positive:
        try:
            float(value)
        except ValueError:
            raise ValueError(
                f"label: `positive` holds {value!r}, and the label column is of type {column_type}"
            ) from None


def _check_known(names: Iterable[str], known: Iterable[str], where: str) -> None:
    for name in names:
        if name not in set(known):
            raise ValueError(f"{where}.{name}: no such column{did_you_mean(name, known)}")
