"""The pictures of docs/replay.md, as Vega-Lite specifications."""

from collections.abc import Sequence
from typing import Any

from champion.retraining.replay.summary import Worth

WIDTH = 640
PANELS = {
    "roc_auc": ("ROC AUC of the quarter", ".2f"),
    "brier_skill": ("Brier skill", "+.2f"),
    "accepted_rate": ("defaults among accepted", ".0%"),
}


def draw_quarters(policies: Sequence[Worth]) -> dict[str, Any]:
    """What these policies were worth in each quarter; a dot is a deployment."""
    rows = []
    for one in policies:
        deployed = {training["quarter"] for training in one.trainings if training["result"] == "deployed"}
        for quarter in one.quarters.select("quarter", *PANELS).to_dicts():
            rows.append(quarter | {"policy": one.name, "deployed": quarter["quarter"] in deployed})
    colour = {
        "field": "policy",
        "type": "nominal",
        "sort": [one.name for one in policies],
        "title": None,
        "legend": {"orient": "top", "labelLimit": 300},
    }
    panels = []
    for name, (title, form) in PANELS.items():
        encoding = {
            "x": {"field": "quarter", "type": "temporal", "title": None, "axis": {"format": "%Y"}},
            "y": {
                "field": name,
                "type": "quantitative",
                "title": title,
                "axis": {"format": form},
                "scale": {"zero": name != "roc_auc"},
            },
            "color": colour,
        }
        line = {"mark": {"type": "line", "strokeWidth": 1.5}}
        dots = {"mark": {"type": "point", "filled": True, "size": 28}, "transform": [{"filter": "datum.deployed"}]}
        panels.append({"width": WIDTH, "height": 150, "encoding": encoding, "layer": [line, dots]})
    return {"data": {"values": rows}, "vconcat": panels}


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
    quarter = {"field": "quarter", "type": "temporal", "title": "made on", "axis": {"format": "%Y"}}
    scale = {"zero": False}
    interval = {
        "mark": {"type": "rule", "strokeWidth": 5, "color": "#c8d3e0"},
        "encoding": {
            "x": quarter,
            "y": {"field": "low", "type": "quantitative", "title": "ROC AUC of the next year", "scale": scale},
            "y2": {"field": "high"},
        },
    }
    colour = {"field": "realised", "type": "nominal", "scale": {"range": ["#2a7f3f", "#c0392b"]}, "title": "realised"}
    realised = {
        "mark": {"type": "point", "filled": True, "size": 45},
        "encoding": {
            "x": quarter,
            "y": {"field": "roc_auc", "type": "quantitative", "scale": scale},
            "color": colour | {"sort": ["inside", "outside"], "legend": {"orient": "top"}},
        },
    }
    return {"data": {"values": rows}, "width": WIDTH, "height": 200, "layer": [interval, realised]}
