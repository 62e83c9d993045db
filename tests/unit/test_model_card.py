"""The model card: its contents, and text from outside that stays plain text."""

from typing import Any

import pytest

from champion.pipeline.evaluate.model_card import SHOWN, render
from support.hostile import HOSTILE, assert_only_text

SIDE = {"rows": 2000, "positives": 250}
SCHEMA: dict[str, Any] = {
    "as_of": "2010-01-01",
    "features": [{"name": "state", "type": "category"}, {"name": "same_state", "type": "boolean"}],
    "horizon_months": 36,
    "strategy": "out_of_time",
    "train": SIDE | {"first": "2001-01-02", "last": "2005-12-30"},
    "test": SIDE | {"first": "2006-01-02", "last": "2006-12-29"},
}


def training(estimator: str, search: str, chosen: dict[str, Any]) -> dict[str, Any]:
    listed = [{"param": name, "value": value} for name, value in chosen.items()]
    return {"recipe": [{"estimator": estimator, "search": search, "chosen": listed}], "roc_auc": 0.8135}


TRAINING = training("logistic_regression", "grid", {"max_iter": 5, "learning_rate": 0.05, "depth": None})
METRICS = dict.fromkeys(SHOWN, 0.5) | {"base_rate": 0.111, "mean_probability": 0.05, "threshold": 0.125}
WORST = {"segment": "sector", "value": "32", "roc_auc": 0.6, "rows": 1558}
VERDICTS = {"roc_auc": {"value": 0.5, "min": 0.65, "max": 1.0, "margin": -0.15, "passed": False}}


def card(**changed: Any) -> str:
    arguments = {"schema": SCHEMA, "training": TRAINING, "metrics": METRICS, "worst": WORST, "verdicts": VERDICTS}
    return render(**arguments | {"hashes": {"data/raw.parquet": "404c"}} | changed)


def test_the_card_says_what_the_model_is_and_how_good() -> None:
    text = card()
    for line in (
        "A `logistic_regression` classifier, parameters chosen by grid search: max_iter 5, learning_rate 0.05, depth "
        "None. It gives the probability that a row is positive within 36 months, from what is known when the row is "
        "made. It ranks and prices risk; it does not explain single decisions.",
        "The data is built as of 2010-01-01 and holds nothing later. The test split is the last months of the window; "
        "training never used it.",
        "| train | 2,000 | 12.50% | 2001-01-02 | 2005-12-30 |",
        "`state` (category), `same_state` (boolean)",
        "| ROC AUC | 0.5000 |  |",
        "A row is called positive if its probability is at least 0.1250.",
        "| `roc_auc` | 0.5000 | min 0.65 and max 1 | -0.1500 | **fail** |",
        "- The worst segment is `sector` = 32: ROC AUC 0.6000 on 1,558 rows.",
        "- `data/raw.parquet` sha256 `404c`",
    ):
        assert f"\n{line}\n" in text
    assert "\n\n\n" not in text


def test_a_metric_with_an_interval_shows_it_and_one_without_a_value_says_so() -> None:
    text = card(metrics=METRICS | {"roc_auc_low": 0.45, "roc_auc_high": 0.55, "precision": None})
    assert "| ROC AUC | 0.5000 | 0.4500 to 0.5500 |" in text
    assert "| Precision | missing |  |" in text


def test_a_table_without_dates_has_no_window() -> None:
    plain = SCHEMA | {"as_of": None, "horizon_months": None, "strategy": "random", "train": SIDE, "test": SIDE}
    text = card(schema=plain, training=training("logistic_regression", "none", {}), worst=None)
    assert "\nA `logistic_regression` classifier. It gives the probability that a row is positive, from" in text
    assert "\nThe test split is a stratified random share; training never used it.\n" in text
    assert "| test | 2,000 | 12.50% |  |  |" in text
    assert "worst segment" not in text


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_names_stay_text_in_every_place(text: str) -> None:
    written = card(
        schema=SCHEMA
        | {"features": [{"name": text, "type": text}], "as_of": text or None, "train": SIDE | {"first": text}},
        training=training(text, text, {text: text}),
        worst=WORST | {"segment": text, "value": text},
        verdicts={text: VERDICTS["roc_auc"]},
        hashes={text: text},
    )
    assert_only_text(written)
