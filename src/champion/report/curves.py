"""Plots of a revision's held-out scores, drawn over those of its base."""

from collections.abc import Iterator

from champion.core.values import finite
from champion.report.blocks import BASE_COLOUR, GUIDE_COLOUR, HEAD_COLOUR, Bars, Chart, Line
from champion.repository.revision import Revision

# File: its title, columns, axis titles, and the name of the diagonal that guides the eye.
_CURVES = {
    "roc": (
        "ROC, held-out rows",
        ("false_positive_rate", "true_positive_rate"),
        ("false positive rate", "true positive rate"),
        "chance",
    ),
    "calibration": (
        "Calibration, held-out rows",
        ("mean_probability", "observed_share"),
        ("mean probability", "observed share"),
        "perfect",
    ),
    "precision_recall": (
        "Precision and recall, held-out rows",
        ("recall", "precision"),
        ("recall", "precision"),
        None,
    ),
}


def overlaid(head: Revision, base: Revision, name: str) -> Iterator[Chart]:
    """The head's curve of that name over the base's; nothing when the head has none."""
    title, columns, axes, guide = _CURVES[name]
    before = _line(base, name, columns, "before", BASE_COLOUR)
    after = _line(head, name, columns, "after", HEAD_COLOUR)
    if after is None:
        return
    comparable = before is not None and before.x[0] < after.x[-1] and after.x[0] < before.x[-1]
    lines = [before, after] if before is not None and comparable else [after]
    if guide is not None:
        end = max(line.x[-1] for line in lines)
        lines.insert(0, Line(guide, GUIDE_COLOUR, [0.0, end], [0.0, end]))
    yield Chart(title, *axes, lines)


def scores_by_class(head: Revision) -> Iterator[Chart]:
    """How the head's probabilities are spread, for each class."""
    lines = [
        _line(head, "score_distribution", ("probability", f"class_{value}"), f"class {value}", colour)
        for value, colour in ((0, BASE_COLOUR), (1, HEAD_COLOUR))
    ]
    drawn = [line for line in lines if line is not None]
    if drawn:
        yield Chart("Scores by class, after", "probability", "share of the class's rows", drawn)


def pictures(side: Revision) -> Iterator[tuple[str, Chart | Bars]]:
    """Every plot that the side has, alone, by name."""
    for name, (title, columns, axes, _) in _CURVES.items():
        line = _line(side, name, columns, "model", HEAD_COLOUR)
        if line is not None:
            yield name, Chart(title, *axes, [line])
    yield from (("score_distribution", chart) for chart in scores_by_class(side))
    if values := _importances(side):
        series = [("model", HEAD_COLOUR, list(values.values()))]
        yield "importance", Bars("Permutation importance, held-out rows", "loss of ROC AUC", list(values), series)


def importance(head: Revision, base: Revision) -> Iterator[Bars]:
    """What each feature is worth to the head, beside what it was worth to the base."""
    before, after = (_importances(side) for side in (base, head))
    if after:
        names = list(after)
        series = [("after", HEAD_COLOUR, [after[name] for name in names])]
        if before:
            series.insert(0, ("before", BASE_COLOUR, [before.get(name, 0.0) for name in names]))
        yield Bars("Permutation importance, held-out rows", "loss of ROC AUC", names, series)


def _importances(side: Revision) -> dict[str, float]:
    table = side.plot("importance")
    try:
        pairs = zip(table["feature"], map(float, table["importance"]), strict=True)
        return {name: value for name, value in pairs if finite(value) is not None}
    except (KeyError, ValueError):
        return {}


def _line(side: Revision, plot: str, columns: tuple[str, str], name: str, colour: str) -> Line | None:
    """A curve from a plot's table; None when it spans no range of x, or a value is not a number."""
    table = side.plot(plot)
    try:
        points = sorted(zip(*(map(float, table[column]) for column in columns), strict=True))
    except (KeyError, ValueError):
        return None
    if len({x for x, _ in points}) < 2 or any(finite(value) is None for point in points for value in point):
        return None
    return Line(name, colour, [x for x, _ in points], [y for _, y in points])
