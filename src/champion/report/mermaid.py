"""Curves as Mermaid charts, which GitHub draws."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from markupsafe import Markup

from champion.core.markdown import as_words
from champion.core.values import finite
from champion.report.plots import Plot

_GUIDE = ("#999999", "grey")
# The templates whose baseline is the diagonal, and what it means.
_DIAGONALS = {"roc": "chance", "calibration": "as predicted"}
_COLOURS = (("#ff7f0e", "orange"), ("#1f77b4", "blue"), ("#2ca02c", "green"), ("#d62728", "red"))
_POINTS = 21

_Curve = list[tuple[float, float]]


def xychart(plot: Plot) -> Markup | None:
    """The plot's curves over their common range of x, with a legend of the colours; None when there is no curve.

    Curves are resampled, because Mermaid spaces values evenly on the axis.
    """
    drawn = _curves(plot)
    if not drawn:
        return None
    last = plot.points[-1]["rev"]
    low, high = _shared(drawn)
    if low >= high:
        drawn = {key: curve for key, curve in drawn.items() if key[1] == last}
        low, high = _shared(drawn)
    at = np.linspace(low, high, _POINTS)
    fields = list(dict.fromkeys(field for field, _ in drawn))
    baseline = _DIAGONALS.get(str(plot.properties.get("template")))
    lines = [(_GUIDE, baseline, at)] if baseline else []
    for (field, side), curve in drawn.items():
        colour = _COLOURS[(2 * fields.index(field) + (side == last)) % len(_COLOURS)]
        x, y = zip(*curve, strict=True)
        lines.append((colour, side if len(fields) == 1 else f"{side}, {field}", np.interp(at, list(x), list(y))))
    top = max(0.01, *(float(values.max()) for _, _, values in lines))
    palette = ", ".join(colour[0] for colour, _, _ in lines)
    chart = [
        "```mermaid",
        f'%%{{init: {{"themeVariables": {{"xyChart": {{"plotColorPalette": "{palette}"}}}}}}}}%%',
        "xychart-beta",
        f'    title "{_label(plot.title)}"',
        f'    x-axis "{_label(plot.properties["x_label"])}" {low:.4f} --> {high:.4f}',
        f'    y-axis "{_label(plot.properties["y_label"])}" 0 --> {top:.4f}',
        *(f"    line [{', '.join(f'{value:.4f}' for value in values)}]" for _, _, values in lines),
        "```",
    ]
    names = Markup(", ").join(Markup("{}: {}").format(colour[1], as_words(name)) for colour, name, _ in lines)
    return Markup("\n".join(chart)) + Markup("\n\n{}.\n").format(names)  # noqa: S704 - labels are cleaned, the rest numbers


def _curves(plot: Plot) -> dict[tuple[str, str], _Curve]:
    """The curves by column and side, with points sorted by x. Omits curves with one x or a non-finite number."""
    found: dict[tuple[str, str], list[tuple[float | None, float | None]]] = {}
    for point in plot.points:
        x, y = (_number(point.get(plot.properties[axis])) for axis in ("x", "y"))
        found.setdefault((point["field"], point["rev"]), []).append((x, y))
    curves = {
        key: sorted((x, y) for x, y in points if x is not None and y is not None) for key, points in found.items()
    }
    return {key: curve for key, curve in curves.items() if len(curve) == len(found[key]) and curve[0][0] < curve[-1][0]}


def _shared(curves: Mapping[Any, _Curve]) -> tuple[float, float]:
    return max(curve[0][0] for curve in curves.values()), min(curve[-1][0] for curve in curves.values())


def _number(text: Any) -> float | None:
    try:
        return finite(float(text))
    except (TypeError, ValueError):
        return None


def _label(text: Any) -> str:
    """The text without characters that have a meaning in Mermaid."""
    return re.sub(r"[^\w ,.:()/+=-]", " ", str(text))
