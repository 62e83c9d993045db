"""The model card: its contents, and text from outside that stays plain text."""

from typing import Any

import pytest

from champion.model.decision import Costs, Decision
from champion.model.manifest import Manifest
from champion.pipeline.evaluate.model_card import SHOWN, render
from support.hostile import HOSTILE, assert_only_text

SCHEMA: dict[str, Any] = {
    "calendar": {"as_of": "2010-01-01", "horizon": 24, "window": 36, "test": 12},
    "features": [{"name": "state", "type": "category"}, {"name": "same_state", "type": "boolean"}],
    "group": "lender",
    "unknown": "outcome_known",
}
PARTS: dict[str, Any] = {
    "parts": [
        {"part": "earlier", "rows": 0, "positives": 0},
        {"part": "newest", "rows": 20, "positives": None, "first": "2009-01-02", "last": "2009-12-30"},
        {"part": "test", "rows": 2000, "positives": 250, "first": "2006-01-02", "last": "2006-12-29"},
    ],
    "excluded": {"debentures": 1200},
}
JUDGED = Manifest([], base_rate=0.021, cut=0.125, made="2007-01-01")
DELIVERED = Manifest([], base_rate=0.05, cut=0.25, made="2010-01-01")


def training(estimator: str, search: str, chosen: dict[str, Any]) -> dict[str, Any]:
    listed = [{"param": name, "value": value} for name, value in chosen.items()]
    recipe = {"estimator": estimator, "search": search, "rehearsals": 3, "chosen": listed}
    return {"recipe": [recipe], "roc_auc": 0.8135, "rows": 4321}


TRAINING = training("logistic_regression", "grid", {"max_iter": 5, "learning_rate": 0.05, "depth": None})
METRICS = dict.fromkeys(SHOWN, 0.5) | {
    "rows": 2000, "base_rate": 0.111, "mean_probability": 0.05, "effective_groups": 60.25, "agreement_spearman": 0.9,
    "agreement_psi": 0.01, "rehearsed_roc_auc": 0.7, "rehearsed_roc_auc_low": 0.62, "rehearsed_roc_auc_high": 0.78,
}  # fmt: skip
REHEARSAL = {"rows": 1000, "roc_auc": 0.7, "brier_skill": 0.01, "mean_probability": 0.02, "base_rate": 0.03}
REHEARSALS = [REHEARSAL | {"rehearsal": f"{year}-01-01", "chose": year < 2005} for year in (2004, 2005, 2006)]
POLICY = {"flagged_share": 0.1, "precision": 0.25, "recall": None, "accepted_rate": 0.05, "expected_cost": 0.5}
WORST = {"segment": "sector", "value": "32", "roc_auc": 0.6, "rows": 1558}
OTHER = {"above": None, "below": None, "source": "roc_auc"}
VERDICTS = {"roc_auc": {"value": 0.5, "min": 0.65, "max": 1.0, "margin": -0.15, "passed": False, **OTHER}}
CONTENT: dict[str, Any] = {
    "schema": SCHEMA, "parts": PARTS, "judged": JUDGED, "delivered": DELIVERED, "training": TRAINING,
    "metrics": METRICS, "rehearsals": REHEARSALS, "decision": [POLICY | {"policy": "model"}],
    "rule": Decision(share=0.1), "population": ["Loans that were open in 2014 are missing."], "worst": WORST,
    "verdicts": VERDICTS, "hashes": {"data/raw.parquet": "404c"}, "unconfirmed": {"limits": [], "breaches": []},
}  # fmt: skip


def card(**changed: Any) -> str:
    text = render(**CONTENT | changed)
    assert "\n\n\n" not in text
    return text


def test_the_card_says_what_the_model_is_and_how_good() -> None:
    text = card()
    for line in (
        "A `logistic_regression` classifier, parameters chosen by grid search: max_iter 5, learning_rate 0.05, depth "
        "None. It gives the probability that a row is positive within 24 months, from what is known when the row is "
        "made. It ranks and prices risk. What moved a single answer, a server says (`?reasons=4`); that names no "
        "causes.",
        "The ROC AUC of 0.500 is what a model made on 2007-01-01 reached on the 2,000 rows of the time after. It is "
        "not the result of the delivered model, which the same recipe made on 2010-01-01: nobody knows yet how its "
        "rows end. In 3 rehearsals before, the recipe reached 0.700 on average (those that chose it, marked below, are "
        "a little too good); if times like these go on, the ROC AUC of one more lies between 0.620 and 0.780 with 95% "
        "confidence.",
        "The history allows 3 of 4 rehearsals to choose a recipe by.",
        "| `test` | 2,000 | 12.50% | 2006-01-02 | 2006-12-29 |".replace("`", ""),
        "| newest | 20 |  | 2009-01-02 | 2009-12-30 |",
        "Each model learns only from the latest 36 months of its labelled rows: the judged model from 4,321. 2.10% of "
        "them were positive for the judged model, 5.00% for the delivered one.",
        "Left out as debentures: 1,200 rows. The model was not made for such rows.",
        "Loans that were open in 2014 are missing.",
        "`state` (category), `same_state` (boolean)",
        "| ROC AUC | 0.5000 |  |",
        "| Brier skill against the test's own rate | 0.5000 |  |",
        "The intervals resample whole groups (lender): the rows are worth 60.2 groups of equal size.",
        "| model | 10.00% | 25.00% | missing | 5.00% | 0.5000 |",
        "A row is flagged if its probability is at least the cut: 0.1250 for the judged model, 0.2500 for the "
        "delivered one. The share to flag is 10.00%. Each cut is the lowest that flags at most this share of the rows "
        "that were newest when its model was made.",
        "| 2004-01-01 | 1,000 | 0.7000 | 0.0100 | 2.00% | 3.00% | chose the recipe |",
        "| 2005-01-01 | 1,000 | 0.7000 | 0.0100 | 2.00% | 3.00% |  |",
        "| `roc_auc` | 0.5000 | min 0.65 and max 1 | -0.1500 | **fail** |",
        "- The worst segment is `sector` = 32: ROC AUC 0.6000 on 1,558 rows.",
        "- `data/raw.parquet` sha256 `404c`",
    ):
        assert f"\n{line}\n" in text
    assert "looks further: a row whose outcome the source never learned" in text
    assert "earlier" not in text


def test_a_metric_with_an_interval_shows_it_and_one_without_a_value_says_so() -> None:
    text = card(metrics=METRICS | {"roc_auc_low": 0.45, "roc_auc_high": 0.55, "precision": None})
    assert "| ROC AUC | 0.5000 | 0.4500 to 0.5500 |" in text
    assert "| Precision of the flagged | missing |  |" in text


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (
            Decision(costs=Costs(false_positive=1)),
            "The share to flag is the one that cost least in the rehearsals that choose.",
        ),
        (Decision(maximise="f1"), "The share to flag is the one that had the best f1 in the rehearsals that choose."),
        (Decision(probability=0.5), "0.2500 for the delivered one.\n"),
    ],
)
def test_the_card_says_what_sets_the_cut(rule: Decision, said: str) -> None:
    assert said in card(rule=rule)


def test_limits_that_nobody_confirmed_are_told_with_their_breaches() -> None:
    assert "confirmed" not in card()
    kept = card(unconfirmed={"limits": ["rows", "columns"], "breaches": []})
    assert "which were inferred from the table: rows, columns. The data keeps them.\n" in kept
    broken = card(unconfirmed={"limits": ["columns"], "breaches": [{"table": "raw", "column": "age"}]})
    assert "The data breaks them in age of raw.\n" in broken


def test_too_few_groups_are_told() -> None:
    few = "Below 20 they would be too narrow, so there are none, and a gate takes the interval over the rehearsals."
    assert few in card(metrics=METRICS | {"effective_groups": 19.9})
    assert "The intervals resample rows, as if none stood together." in card(schema=SCHEMA | {"group": None})


def test_a_verdict_names_the_metric_that_decided_it() -> None:
    found = VERDICTS["roc_auc"] | {"source": "rehearsed_roc_auc_low"}
    assert "| `roc_auc_low` (by `rehearsed_roc_auc_low`) | 0.5000 |" in card(verdicts={"roc_auc_low": found})


@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few_rehearsals_give_no_interval(count: int) -> None:
    nothing = dict.fromkeys(("rehearsed_roc_auc", "rehearsed_roc_auc_low", "rehearsed_roc_auc_high"))
    text = card(rehearsals=REHEARSALS[:count], metrics=METRICS | nothing)
    assert "with 95% confidence" not in text
    said = {0: "There is no rehearsal before", 1: "There is only 1 rehearsal", 2: "There are only 2 rehearsals before"}
    assert said[count] in text
    assert ("## Rehearsals" in text) is (count > 0)


def test_without_a_search_nothing_was_chosen() -> None:
    assert "\nA `random_forest` classifier. It gives the" in card(training=training("random_forest", "none", {}))


def test_a_horizon_is_told_in_its_unit() -> None:
    said = {
        "30d": "positive within 30 days, from",
        "1d": "positive within 1 day, from",
        24: "positive within 24 months, from",
        1: "positive within 1 month, from",
        0: "is positive, from",
    }
    for horizon, words in said.items():
        assert words in card(schema=SCHEMA | {"calendar": SCHEMA["calendar"] | {"horizon": horizon}})


def test_a_table_without_dates_says_so() -> None:
    sides = [{"part": "test", "rows": 2000, "positives": 250}]
    text = card(
        schema=SCHEMA | {"calendar": None, "group": None, "unknown": None},
        parts={"parts": sides, "excluded": {}},
        rehearsals=[],
        worst=None,
        population=[],
        judged=Manifest([], 0.1, 0.2),
    )
    assert "It gives the probability that a row is positive, from" in text
    assert "The ROC AUC of 0.500 is what the model reached on 2,000 rows that it did not learn from." in text
    assert "\nA row is in the test by a hash of its key.\n" in text
    assert "| test | 2,000 | 12.50% |  |  |" in text
    assert "worst segment" not in text


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_names_stay_text_in_every_place(text: str) -> None:
    written = card(
        schema=SCHEMA
        | {"features": [{"name": text, "type": text}], "group": text or "x"}
        | {"calendar": SCHEMA["calendar"] | {"as_of": text, "horizon": text}},
        parts={"parts": [{"part": text, "rows": 1, "positives": 1, "first": text}], "excluded": {text: 1}},
        judged=Manifest([], 0.1, 0.2, made=text),
        training=training(text, text, {text: text}),
        population=[text.strip() or "x"],
        rehearsals=[REHEARSAL | {"rehearsal": text, "chose": True}],
        worst=WORST | {"segment": text, "value": text},
        verdicts={text: VERDICTS["roc_auc"]},
        hashes={text: text},
    )
    assert_only_text(written)
