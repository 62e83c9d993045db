"""What the judged models of two versions are worth on the same rows: the challenger's test rows, new to both."""

from typing import TYPE_CHECKING

from champion.core.errors import UserError
from champion.core.files import read_parquet
from champion.core.layout import SCHEMA, TEST
from champion.judging.comparison import Comparison, choose_rows, compare_scores
from champion.params import Challenge
from champion.registry.registry import Registry
from champion.registry.versions import TRAINING_ROWS_FILE, Version, load_bytes

if TYPE_CHECKING:
    from champion.model.bootstrap import Scores
    from champion.model.model import Model
    from champion.table.dataset import Dataset


def compare(registry: Registry, champion: Version, challenger: Version, required: Challenge) -> Comparison:
    """Score both judged models on the challenger's test rows, less those from which either learned.

    Raises `UserError` when these rows are too few to tell, a feature is missing in all of them, or a model is missing
    or cannot predict them.
    """
    from champion.registry.training_rows import seen
    from champion.table.dataset import Dataset, Schema

    root, both = registry.workspace, (champion, challenger)
    test = Dataset(read_parquet(root / TEST), Schema.read(root / SCHEMA))
    learned = [seen(test.rows, registry.read_file(version, TRAINING_ROWS_FILE), version.window) for version in both]
    features = [(version.name, version.feature_names) for version in both]
    data, resamples = choose_rows(test, learned, features, required)
    models = [_judged_model(registry, version) for version in both]
    probabilities = [_predict(model, data, version) for model, version in zip(models, both, strict=True)]
    excluded = test.rows.height - data.rows.height
    cut = models[1].manifest.cut
    return compare_scores(required.metric, data.target, probabilities, cut, resamples, excluded)


def _judged_model(registry: Registry, version: Version) -> "Model":
    file = version.judged_file
    return load_bytes(registry.read_file(version, file), version.files[file])


def _predict(model: "Model", data: "Dataset", version: Version) -> "Scores":
    try:
        return model.predict(data.rows)
    except UserError as error:
        raise UserError(f"{version.name} cannot predict these rows: {error}") from None
