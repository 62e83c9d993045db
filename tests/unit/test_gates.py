"""Verdicts: only a number inside the bounds passes, and nothing worthless passes the default gates."""

import json
import math
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from champion.core.layout import EVALUATION, GATES, PARAMS
from champion.core.metrics_file import read_metrics
from champion.core.strict_yaml import read
from champion.core.values import rounded
from champion.core.yaml_text import parse_yaml
from champion.judging.gate import shortfalls
from champion.model.bootstrap import Resamples, Scores, Target
from champion.model.metrics import score_with_intervals
from champion.model.stability import agreement
from champion.pipeline.evaluate.metric_names import OF_TEST, OF_TRAINING
from champion.pipeline.evaluate.model_card import SHOWN
from champion.pipeline.evaluate.params import EvaluateParams, Gate
from champion.pipeline.evaluate.stage import summary
from champion.pipeline.evaluate.verdicts import bounds_of, gated_metrics, judge
from support.project import EXAMPLE, REPOSITORY
from support.results import UNDATED, make_result, people

NUMBERS = st.floats(-1e6, 1e6)
DEFAULT = parse_yaml((EXAMPLE / PARAMS).read_text(encoding="utf-8"))["gates"]
KNOWN_RATE = 0.1


def verdict(value: Any, **bounds: float | None) -> dict[str, Any]:
    return judge({"metric": value}, {"metric": Gate(**bounds)})["metric"]


@given(NUMBERS, NUMBERS, NUMBERS)
def test_a_verdict_passes_exactly_inside_its_bounds(value: float, one: float, other: float) -> None:
    low, high = sorted((one, other))
    found = verdict(value, min=low, max=high)
    assert found["passed"] is (low <= value <= high)
    assert found["margin"] == min(value - low, high - value)
    assert found["passed"] is (found["margin"] >= 0)
    assert (found["value"], found["min"], found["max"]) == (value, low, high)


@given(NUMBERS, NUMBERS)
def test_one_bound_is_enough(value: float, bound: float) -> None:
    assert verdict(value, min=bound)["margin"] == verdict(value, above=bound)["margin"] == value - bound
    assert verdict(value, max=bound)["margin"] == verdict(value, below=bound)["margin"] == bound - value


@given(NUMBERS, NUMBERS, NUMBERS)
def test_a_strict_bound_itself_fails(value: float, one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert verdict(value, above=low, below=high)["passed"] is (low < value < high)
    assert verdict(value, above=value)["passed"] is verdict(value, below=value)["passed"] is False
    assert verdict(value, above=value)["margin"] == verdict(value, below=value)["margin"] == 0


@pytest.mark.parametrize("bounds", [{"min": 0.65}, {"max": 0.65}, {"min": 0.65, "max": 0.65}])
def test_a_closed_bound_itself_passes(bounds: dict[str, float]) -> None:
    assert verdict(0.65, **bounds) | {"passed": True, "margin": 0} == verdict(0.65, **bounds)


@pytest.mark.parametrize(
    ("bounds", "words"),
    [
        ({"above": 0.5}, "above 0.5"),
        ({"min": 0.6, "max": 0.9}, "min 0.6 and max 0.9"),
        ({"above": 0, "below": 1}, "above 0 and below 1"),
    ],
)
def test_bounds_are_told_in_the_words_of_the_params(bounds: dict[str, float], words: str) -> None:
    assert bounds_of(verdict(0.5, **bounds)) == words


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf, "0.9", True, [0.9], {}])
def test_what_is_not_a_finite_number_is_a_no(value: Any) -> None:
    told = {"min": -1e9, "above": None, "max": None, "below": None, "source": "metric"}
    assert verdict(value, min=-1e9) == {"value": None, **told, "passed": False, "margin": None}


def test_a_missing_metric_is_a_no() -> None:
    assert judge({}, {"roc_auc": Gate(min=0)})["roc_auc"]["passed"] is False


def test_every_gate_gets_a_verdict_and_other_metrics_none() -> None:
    gates = {"a": Gate(min=0), "b": Gate(max=0)}
    assert list(judge({"a": 1, "c": 1}, gates)) == ["a", "b"]
    assert judge({"a": 1}, {}) == {}


def end_verdict(**metrics: float | None) -> dict[str, Any]:
    return judge(metrics, {"roc_auc_low": Gate(above=0.5)})["roc_auc_low"]


def test_with_too_few_groups_the_rehearsals_give_the_end_of_the_interval() -> None:
    found = end_verdict(effective_groups=19.9, roc_auc_low=None, rehearsed_roc_auc_low=0.55)
    assert (found["value"], found["source"], found["passed"]) == (0.55, "rehearsed_roc_auc_low", True)
    assert not end_verdict(effective_groups=19.9, roc_auc_low=None, rehearsed_roc_auc_low=0.5)["passed"]
    upper = judge({"effective_groups": 2.0, "rehearsed_roc_auc_high": 0.8}, {"roc_auc_high": Gate(max=0.9)})
    assert upper["roc_auc_high"]["passed"] is True


@pytest.mark.parametrize(
    "metrics",
    [
        {"effective_groups": 19.9, "roc_auc_low": None, "rehearsed_roc_auc_low": None},
        {"effective_groups": 20.0, "roc_auc_low": None, "rehearsed_roc_auc_low": 0.55},
        {"effective_groups": None, "roc_auc_low": None, "rehearsed_roc_auc_low": 0.55},
        {"roc_auc_low": None, "rehearsed_roc_auc_low": 0.55},
    ],
    ids=["no interval", "enough groups", "no group", "unknown groups"],
)
def test_without_an_end_the_answer_is_no(metrics: dict[str, float | None]) -> None:
    found = end_verdict(**metrics)
    assert (found["value"], found["passed"]) == (None, False)


def test_with_enough_groups_an_end_is_that_of_the_test() -> None:
    found = end_verdict(effective_groups=20.0, roc_auc_low=0.6, rehearsed_roc_auc_low=0.4)
    assert (found["value"], found["source"]) == (0.6, "roc_auc_low")


def test_with_too_few_groups_other_metrics_are_their_own() -> None:
    gates = {name: Gate(min=0) for name in ("roc_auc", "rehearsed_roc_auc_low")}
    found = judge({"effective_groups": 5.0, "roc_auc": 0.7, "rehearsed_roc_auc_low": 0.5}, gates)
    assert {name: one["source"] for name, one in found.items()} == {name: name for name in gates}


def test_metrics_of_training_have_a_prefix() -> None:
    training = {"roc_auc": 0.6, "log_loss": None, "recipe": [{"estimator": "random_forest"}]}
    assert gated_metrics({"roc_auc": 0.7}, training) == {
        "roc_auc": 0.7,
        "training_roc_auc": 0.6,
        "training_log_loss": None,
    }


@pytest.mark.parametrize(
    ("metrics", "gates", "sentence"),
    [
        ({"m": 0.5}, {"m": Gate(min=0.6)}, "m: 0.5 is outside min 0.6"),
        ({"m": 0.5}, {"m": Gate(above=0.5)}, "m: 0.5 is not above 0.5"),
        ({}, {"m": Gate(above=0.5)}, "m: the metrics have no number for it"),
        ({}, {"training_m": Gate(min=0.9)}, "training_m: 0.7 is outside min 0.9"),
        (
            {"effective_groups": 3.5, "rehearsed_m_low": 0.5},
            {"m_low": Gate(above=0.5)},
            "m_low: 0.5 of rehearsed_m_low is not above 0.5",
        ),
        (
            {"effective_groups": 3.5},
            {"m_low": Gate(above=0.5)},
            "m_low: the test has too few groups for an interval, and the metrics have no number for rehearsed_m_low",
        ),
    ],
)
def test_each_shortfall_is_a_sentence(metrics: dict[str, Any], gates: dict[str, Gate], sentence: str) -> None:
    assert shortfalls(metrics, {"m": 0.7}, gates) == [sentence]


def test_the_summary_names_the_metric_that_decided_a_gate_if_it_is_another() -> None:
    metrics = dict.fromkeys(SHOWN) | {"rows": 100, "base_rate": 0.1, "effective_groups": 3.0, "gini": 0.5}
    gates = {"roc_auc_low": Gate(above=0.5), "gini": Gate(min=0.4)}
    found = judge(metrics | {"rehearsed_roc_auc_low": 0.75}, gates)
    *_, own, other = summary(metrics, found).splitlines()
    assert own.split(maxsplit=2) == ["gate", "gini", "pass  (margin +0.1000)"]
    assert other.split(maxsplit=2) == ["gate", "roc_auc_low", "pass  (margin +0.2500 of rehearsed_roc_auc_low)"]


def test_without_gates_nothing_passes() -> None:
    (reason,) = shortfalls({"roc_auc": 1.0}, {}, {})
    assert "`gates` is empty" in reason


# The default gates refuse whatever is worth nothing.


def outcomes() -> tuple[Target, Scores]:
    """A tenth is positive, and the probabilities are the true ones."""
    rng = np.random.default_rng(0)
    probability = 1 / (1 + np.exp(2.9 - 1.5 * rng.normal(size=4000)))
    return (rng.random(4000) < probability).astype(np.int8), probability


def refused_by(probability: Scores, cut: float, delivered: Scores | None = None) -> set[str]:
    """The default gates that refuse these scores; those of the delivered model are the same by default."""
    target, _ = outcomes()
    scores = score_with_intervals(target, probability, cut, KNOWN_RATE, Resamples(len(target), None, 200, 0))
    agreed = agreement(probability, probability if delivered is None else delivered)
    metrics = rounded(scores | {f"agreement_{name}": value for name, value in agreed.items()})
    latest = probability if delivered is None else delivered
    metrics |= {"training_roc_auc": 0.7, "delivered_flagged_share": float((latest >= cut).mean())}
    found = judge(metrics, read(EvaluateParams, EXAMPLE / PARAMS).gates)
    return {name for name, one in found.items() if not one["passed"]}


def test_good_scores_pass_the_default_gates() -> None:
    _, probability = outcomes()
    assert refused_by(probability, float(np.quantile(probability, 0.9))) == set()


def test_a_constant_score_is_refused() -> None:
    constant = np.full(4000, KNOWN_RATE)
    refused = {"roc_auc_low", "brier_skill", "lift_10", "flagged_share", "delivered_flagged_share"}
    assert refused_by(constant, 0.05) == refused_by(constant, 0.5) == refused | {"precision_lift"}


def test_a_random_score_is_refused() -> None:
    noise = np.random.default_rng(1).normal(0, 0.01, 4000)
    assert refused_by(KNOWN_RATE + noise, KNOWN_RATE + 0.013) >= {"roc_auc_low", "brier_skill", "lift_10"}


def test_a_cut_that_flags_nobody_is_refused() -> None:
    assert refused_by(outcomes()[1], 1.1) == {"flagged_share", "delivered_flagged_share", "precision_lift"}


def test_a_cut_that_flags_everybody_is_refused() -> None:
    assert refused_by(outcomes()[1], 0.0) == {"flagged_share", "delivered_flagged_share", "precision_lift"}


def test_flagging_the_safest_rows_is_refused() -> None:
    _, probability = outcomes()
    assert "precision_lift" in refused_by(1 - probability, float(np.quantile(1 - probability, 0.9)))


def test_a_delivered_model_of_another_order_is_refused() -> None:
    _, probability = outcomes()
    cut = float(np.quantile(probability, 0.9))
    for other in (np.full(4000, KNOWN_RATE), 1 - probability):
        assert refused_by(probability, cut, other) == {"agreement_spearman", "delivered_flagged_share"}


def made(folder: Path, table: pl.DataFrame, **params: Any) -> dict[str, Any]:
    """The verdict of each gate, by the real stages."""
    make_result(folder / "result", table, **{"gates": DEFAULT, "decision": {"share": 0.1}} | params)
    listed = json.loads((folder / "result" / GATES).read_text())["verdicts"]
    return {one["metric"]: one for one in listed}


def failed(verdicts: dict[str, Any]) -> set[str]:
    return {name for name, one in verdicts.items() if not one["passed"]}


def table() -> pl.DataFrame:
    # Rows for a rehearsal that chooses, rows that the judged model learns from, and the test.
    years = (date(2015, 7, 1), date(2017, 1, 1), date(2018, 7, 1))
    return pl.concat([people(3000, seed, 10_000 * seed, first) for seed, first in enumerate(years)])


def shuffled(table: pl.DataFrame, seed: int) -> pl.DataFrame:
    return table.with_columns(table["answer"].shuffle(seed))


def test_a_good_model_passes_the_default_gates(tmp_path: Path) -> None:
    assert failed(made(tmp_path, table())) == set()


def test_a_model_without_dates_agrees_with_itself(tmp_path: Path) -> None:
    found = made(tmp_path, table().drop("day"), **UNDATED)
    assert found["agreement_spearman"]["value"] == 1
    assert failed(found) == set()


@pytest.mark.parametrize("seed", range(3))
def test_a_model_of_shuffled_labels_is_refused(seed: int, tmp_path: Path) -> None:
    assert failed(made(tmp_path, shuffled(table(), seed))) >= {"roc_auc_low", "lift_10"}


def test_a_model_of_shuffled_labels_with_some_luck_on_true_ones_is_refused(tmp_path: Path) -> None:
    # In a table of four features, chance may turn the model a little the right way.
    learned, test = table().head(6000), table().tail(3000)
    assert "training_roc_auc" in failed(made(tmp_path, pl.concat([shuffled(learned, 0), test])))


def test_a_metric_of_training_can_be_gated(tmp_path: Path) -> None:
    gates = {"training_f1_weighted": {"min": 0.4}, "training_roc_auc_std": {"below": 0}}
    found = made(tmp_path, table().drop("day"), **UNDATED, gates=gates)
    assert found["training_f1_weighted"]["value"] > 0.4
    assert failed(found) == {"training_roc_auc_std"}


def test_a_metric_that_this_table_does_not_define_is_a_no(tmp_path: Path) -> None:
    # The history is too short for a rehearsal that chooses.
    found = made(tmp_path, table().tail(6000), gates={"training_roc_auc": {"min": 0}, "effective_groups": {"min": 0}})
    assert {name: one["value"] for name, one in found.items()} == {"training_roc_auc": None, "effective_groups": None}
    assert failed(found) == {"training_roc_auc", "effective_groups"}


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("roc_acu_low", "roc_auc_low"), ("training_f1_weigthed", "training_f1_weighted"), ("f1_wieghted", "f1_weighted")],
)
def test_a_gate_on_no_metric_is_a_sentence(name: str, nearest: str, tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as exit_:
        made(tmp_path, table(), gates={"roc_auc": {"min": 0.5}, name: {"min": 0.5}})
    assert exit_.value.code == (
        f"error: params.yaml: `gates.{name}`: there is no such metric of the test, nor of training (`training_...`) "
        f"(did you mean `{nearest}`?). Correct or remove it."
    )
    assert not (tmp_path / "result" / EVALUATION).exists()
    assert not (tmp_path / "result/models/reference.json").exists()


def test_all_metrics_that_a_gate_can_name_are_known() -> None:
    evaluation, training = (read_metrics(REPOSITORY / f"metrics/{name}.json") for name in ("evaluation", "training"))
    assert set(gated_metrics(evaluation, training)) == OF_TEST | OF_TRAINING
