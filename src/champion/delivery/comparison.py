"""What the judged models of two versions are worth on the same rows: the challenger's test rows, new to both."""

from typing import TYPE_CHECKING

from champion.core.errors import ConflictError, UserError
from champion.core.files import read_parquet
from champion.core.layout import SCHEMA, TEST
from champion.judging.comparison import Comparison, compare_scores, draw_resamples
from champion.params import Challenge
from champion.registry.registry import Registry
from champion.registry.versions import TRAINING_ROWS_FILE, Version, load_bytes

if TYPE_CHECKING:
    import polars as pl

    from champion.model.bootstrap import Scores
    from champion.model.model import Model
    from champion.table.dataset import Dataset


def compare(registry: Registry, champion: Version, challenger: Version, required: Challenge) -> Comparison:
    """Score both judged models on the challenger's test rows, less those from which either learned.

    Raises `UserError` when these rows are too few to tell, a feature is missing in all of them, or a model is missing
    or cannot predict them.
    """
    from champion.table.dataset import Dataset, Schema

    root, both = registry.workspace, (champion, challenger)
    test = Dataset(read_parquet(root / TEST), Schema.read(root / SCHEMA))
    data = _unseen(test, registry, both)
    rows, tested = data.rows.height, test.rows.height
    half = required.min_rows is None
    needed = (tested + 1) // 2 if required.min_rows is None else required.min_rows
    if rows < needed:
        raise ConflictError(
            f"only {rows:,} of {tested:,} test rows are new to both models, but {needed:,} are needed "
            f"({'half of them, without ' if half else ''}`challenge.min_rows` in params.yaml)"
        )
    refuse_empty(data.rows, *both)
    resamples = draw_resamples(data, required)
    models = [_judged_model(registry, version) for version in both]
    probabilities = [_predict(model, data, version) for model, version in zip(models, both, strict=True)]
    cut = models[1].manifest.cut
    return compare_scores(required.metric, data.target, probabilities, cut, resamples, tested - rows)


def refuse_empty(rows: "pl.DataFrame", *versions: Version) -> None:
    """Raise `ConflictError` naming a feature that is missing in every row, as the rows cannot test its use."""
    for version in versions:
        for name in (feature["name"] for feature in version.features):
            column = rows[name] if name in rows.columns else None
            if column is not None and (column.fill_nan(None) if column.dtype.is_float() else column).count() == 0:
                raise ConflictError(f"the feature {name!r} of {version.name} is missing in every test row")


def _unseen(test: "Dataset", registry: Registry, versions: tuple[Version, Version]) -> "Dataset":
    from champion.registry.training_rows import seen

    known = [seen(test.rows, registry.read_file(version, TRAINING_ROWS_FILE), version.window) for version in versions]
    return test.only(~known[0] & ~known[1])


def _judged_model(registry: Registry, version: Version) -> "Model":
    file = version.judged_file
    return load_bytes(registry.read_file(version, file), version.files[file])


def _predict(model: "Model", data: "Dataset", version: Version) -> "Scores":
    try:
        return model.predict(data.rows)
    except UserError as error:
        raise UserError(f"{version.name} cannot predict these rows: {error}") from None
