"""The judged models of base and head on the same test rows, as `champion challenge` compares them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from champion.core.errors import NotFoundError, UserError
from champion.core.files import read_parquet
from champion.core.layout import AT_SPLIT, LABELLED, PARTS, REHEARSED, SCHEMA, TEST
from champion.judging.comparison import Comparison, Paired, choose_rows, compare_scores
from champion.params import Challenge
from champion.repository.outputs import find_output
from champion.repository.revision import Revision

if TYPE_CHECKING:
    from champion.model.bootstrap import Resamples, Scores, Target
    from champion.model.model import Model
    from champion.table.dataset import Dataset, Mask

# The outputs of the base that a pair needs, besides the test rows.
OF_BASE = (REHEARSED, AT_SPLIT, SCHEMA, PARTS)


@dataclass(frozen=True)
class Pairs:
    """The comparison that a challenge would show, and by name each metric with an interval; else why there is none."""

    comparison: Comparison | None = None
    metrics: Mapping[str, Paired] = field(default_factory=dict)
    reason: str = ""


def pair(base: Revision, head: Revision, required: Challenge) -> Pairs | None:
    """The pairs of both judged models; None when there is no judged model at the base, or when it is the same."""
    same_model = base.hashes.get(str(REHEARSED)) == head.hashes.get(str(REHEARSED))
    if not base.evaluation or (same_model and head.has_test_of(base)):
        return None
    try:
        if not head.has_test_of(base):
            return Pairs(reason=f"{TEST} differs, so they were scored on other rows")
        return _pair(base, head, required)
    except UserError as error:
        return Pairs(reason=str(error))


def _pair(base: Revision, head: Revision, required: Challenge) -> Pairs:
    from champion.table.dataset import Dataset, Schema

    sides = (base, head)
    test = Dataset(read_parquet(find_output(head, TEST)), Schema.read(find_output(head, SCHEMA)))
    models = [_judged_model(side) for side in sides]
    learned = [_learned(side, test) for side in sides]
    features = [
        (side.name, [feature.name for feature in model.features]) for side, model in zip(sides, models, strict=True)
    ]
    data, resamples = choose_rows(test, learned, features, required)
    probabilities = [model.predict(data.rows) for model in models]
    excluded = test.rows.height - data.rows.height
    cut = models[1].manifest.cut
    comparison = compare_scores(required.metric, data.target, probabilities, cut, resamples, excluded)
    metrics = _others(models, data.target, probabilities, resamples) | {"brier": comparison.brier}
    # The F1 of a challenge is not that of the metrics: both models flag the same share of the rows.
    if comparison.metric in metrics:
        metrics[comparison.metric] = comparison.gain
    return Pairs(comparison, metrics)


def _learned(side: Revision, test: "Dataset") -> "Mask":
    """The test rows from which the side's judged model learned, as its registration would note them."""
    from champion.registry.training_rows import learned, seen

    files = find_output(side, SCHEMA), find_output(side, PARTS), find_output(side, AT_SPLIT, LABELLED)
    window, keys = learned(*files)
    return seen(test.rows, keys, window)


def _judged_model(side: Revision) -> "Model":
    from champion.model.model_file import load

    try:
        return load(find_output(side, REHEARSED))
    except NotFoundError:
        raise
    except UserError:
        # Its sentence names a file of the cache.
        raise UserError(f"{REHEARSED} of {side.name} is no model that this version of champion opens") from None


def _others(
    models: "list[Model]", target: "Target", probabilities: "list[Scores]", resamples: "Resamples"
) -> dict[str, Paired]:
    """Each metric with an interval, paired in the same way; less those that no resample defines."""
    import numpy as np

    from champion.model.bootstrap import bootstrap
    from champion.model.intervals import interval
    from champion.model.model import is_positive
    from champion.model.weighted import weighted_scores

    scores = [
        weighted_scores(target, one, is_positive(one, model.manifest.cut), model.manifest.base_rate)
        for model, one in zip(models, probabilities, strict=True)
    ]
    before, after = (score(np.ones(resamples.rows)) for score in scores)
    draws = [bootstrap(score, resamples) for score in scores]
    found = {name: Paired(before[name], after[name], *interval(draws[1][name] - draws[0][name])) for name in before}
    return {name: one for name, one in found.items() if np.isfinite([one.difference, one.low, one.high]).all()}
