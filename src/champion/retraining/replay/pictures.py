"""The pictures of docs/replay.md, as Vega-Lite specifications."""

from collections.abc import Sequence
from typing import Any

from champion.retraining.replay.summary import Worth

WIDTH = 640
QUIET, BLUE, ORANGE, GREEN = "#666", "#0b5cad", "#d9730d", "#2a7f3f"
# The column of each panel, its title, the format of its values, its baseline (a value or a column) and its name.
PANELS: tuple[tuple[str, str, str, float | str, str], ...] = (
    ("roc_auc", "ROC AUC of the quarter", ".2f", 0.5, "chance"),
    ("brier_skill", "Brier skill", "+.2f", 0.0, "known rate"),
    ("accepted_rate", "defaults (% of accepted)", ".0%", "base_rate", "all loans"),
)
CONFIG = {
    "padding": 8,
    "axis": {"labelFontSize": 11, "titleFontSize": 11, "titleFontWeight": "normal"},
    "legend": {"title": None, "orient": "top", "labelFontSize": 11, "labelLimit": 300},
    "title": {"anchor": "start", "fontSize": 13, "subtitleFontSize": 11, "subtitlePadding": 4},
    "text": {"fontSize": 11, "color": QUIET, "align": "left", "baseline": "middle", "dx": 6},
    "rule": {"color": QUIET, "strokeDash": [4, 4]},
}


def draw_quarters(policies: Sequence[Worth]) -> dict[str, Any]:
    """What these policies were worth in each quarter; a dot is a deployment. The first policy trains nothing again."""
    rows = []
    columns = ("quarter", "base_rate", *(column for column, *_ in PANELS))
    for one in policies:
        deployed = {training["quarter"] for training in one.trainings if training["result"] == "deployed"}
        for quarter in one.quarters.select(columns).to_dicts():
            rows.append(quarter | {"policy": one.name, "deployed": quarter["quarter"] in deployed})
    names = [one.name for one in policies]
    colour = {"field": "policy", "type": "nominal", "scale": {"domain": names, "range": [QUIET, BLUE, ORANGE, GREEN]}}
    panels = []
    for column, named, form, baseline, means in PANELS:
        y = {"type": "quantitative", "title": named, "axis": {"format": form}, "scale": {"zero": False}}
        encoding = {
            "x": {"field": "quarter", "type": "temporal", "title": None, "axis": {"format": "%Y"}},
            "y": y | {"field": column},
            "color": colour,
        }
        line = {"mark": {"type": "line", "strokeWidth": 1.5}, "encoding": encoding}
        dots = {
            "transform": [{"filter": "datum.deployed"}],
            "mark": {"type": "point", "filled": True, "size": 28, "opacity": 1},
            "encoding": encoding,
        }
        panels.append({"width": WIDTH, "height": 150, "layer": [*_baseline(baseline, means, names[0]), line, dots]})
    told = "A dot is a deployment. The grey line is the policy that never trains again. Dashed lines are baselines."
    title = {"text": "What each policy was worth in each quarter", "subtitle": told}
    return {"config": CONFIG, "title": title, "data": {"values": rows}, "vconcat": panels}


def _baseline(at: float | str, means: str, any_policy: str) -> list[dict[str, Any]]:
    """A dashed line with its name at its right end. A column is the same for all policies."""
    named = {"type": "text", "text": means}
    if isinstance(at, float):
        name = {"mark": named, "encoding": {"x": {"value": WIDTH}}}
        return [{"data": {"values": [{}]}, "encoding": {"y": {"datum": at}}, "layer": [{"mark": "rule"}, name]}]
    y = {"field": at, "type": "quantitative"}
    place = {"x": {"field": "quarter", "type": "temporal"}, "y": y}
    once = {"filter": f"datum.policy == '{any_policy}'"}
    line = {"type": "line", "color": QUIET, "strokeDash": [4, 4], "strokeWidth": 1}
    latest = {"aggregate": [{"op": "argmax", "field": "quarter", "as": "latest"}]}
    end = {"calculate": f"datum.latest.{at}", "as": at}
    return [
        {"transform": [once], "mark": line, "encoding": place},
        {"transform": [once, latest, end], "mark": named, "encoding": {"x": {"value": WIDTH}, "y": y}},
    ]


def draw_promises(promises: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The interval that each training promised, and what came true."""
    rows = [
        {
            "quarter": one["quarter"],
            "low": one["promised"]["rehearsed_roc_auc_low"],
            "high": one["promised"]["rehearsed_roc_auc_high"],
            "roc_auc": one["realised"]["roc_auc"],
            "realised": "inside" if one["within_rehearsals"] else "outside",
        }
        for one in promises
        if one["within_rehearsals"] is not None
    ]
    quarter = {"field": "quarter", "type": "temporal", "title": "made on (first day of the quarter)"}
    x = quarter | {"axis": {"format": "%Y"}}
    scale = {"zero": False}
    interval = {
        "mark": {"type": "rule", "strokeWidth": 5, "strokeDash": [], "color": BLUE, "opacity": 0.3},
        "encoding": {
            "x": x,
            "y": {"field": "low", "type": "quantitative", "title": "ROC AUC of the next year", "scale": scale},
            "y2": {"field": "high"},
        },
    }
    sides = {"domain": ["inside", "outside"]}
    realised = {
        "mark": {"type": "point", "filled": True, "size": 55, "opacity": 1},
        "encoding": {
            "x": x,
            "y": {"field": "roc_auc", "type": "quantitative", "scale": scale},
            "color": {"field": "realised", "type": "nominal", "scale": sides | {"range": [BLUE, ORANGE]}},
            "shape": {"field": "realised", "type": "nominal", "scale": sides | {"range": ["circle", "diamond"]}},
        },
    }
    told = "Bar: the 95% prediction interval of the rehearsals. Point: what came true, inside of it or outside."
    return {
        "config": CONFIG,
        "title": {"text": "What each training promised, and what came true", "subtitle": told},
        "data": {"values": rows},
        "width": WIDTH,
        "height": 200,
        "layer": [interval, *_baseline(0.5, "chance", ""), realised],
    }
