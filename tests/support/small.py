"""A table of 1,000 rows with every type of column, and the params.yaml that describes it."""

from datetime import date
from typing import Any

import numpy as np
import polars as pl

from support.project import Project

ROWS = 1000
TABLE = "data/source/cases.csv"


def small_table() -> pl.DataFrame:
    """Cases of four years, sorted by date. The outcome depends on the amount, and some values are missing."""
    random = np.random.default_rng(0)
    amount = random.uniform(1, 1000, ROWS).round(2)
    bad = random.random(ROWS) < amount / 2000
    days = pl.date_range(date(2018, 7, 1), date(2022, 6, 30), eager=True).sample(ROWS, seed=0).sort()
    return pl.DataFrame(
        {
            "case": range(1, ROWS + 1),
            "opened": days,
            "region": random.choice(["north", "south", "east"], ROWS),
            "amount": amount,
            "visits": random.poisson(3, ROWS),
            "member": random.random(ROWS) < 0.5,
            "remark": [f"remark {number}" for number in range(ROWS)],
            "outcome": np.where(bad, "bad", "good"),
        }
    ).with_columns(visits=pl.when(pl.col("visits") < 6).then("visits"))


def use_small_params(project: Project) -> None:
    """Describe the small table in params.yaml, with a model that is fast to fit.

    Models are made on 2021-07-01 (the judged one) and 2022-07-01, after 3 rehearsals that choose and 4 that are shown.
    """

    def edit(params: dict[str, Any]) -> None:
        params["as_of"] = "2022-07-01"
        params["window"] = 36
        params["ingest"] = {"source": "file", "path": "cases.csv"}
        params["columns"] = {
            "case": {"type": "integer", "role": "id"},
            "opened": {"type": "date", "role": "date"},
            "region": {"type": "category", "values": ["north", "south", "east"]},
            "amount": {"type": "number"},
            "visits": {"type": "integer", "range": [0, 50]},
            "member": {"type": "boolean"},
            "remark": {"type": "category", "role": "ignore"},
            "outcome": {"type": "category", "role": "label"},
        }
        params["label"] = {"kind": "value", "positive": ["bad"], "horizon": 6}
        params["split"] = {"test": 6}
        params["contract"] = {
            "rows": [100, 2000],
            "class_share": [0.05, 0.95],
            "leak_auc": 0.9,
            "columns": {"visits": {"max_missing": 0.2}},
        }
        params["train"]["hist_gradient_boosting"] = {"max_iter": 5}
        params["train"]["search"] = {"method": "none"}
        params["evaluate"] = {"bootstrap_samples": 100, "importance_repeats": 1, "segments": ["region"]}

    project.edit_params(edit)
