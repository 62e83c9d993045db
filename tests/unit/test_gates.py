"""Verdicts: only a number inside the bounds passes."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from champion.core.layout import PARAMS
from champion.core.strict_yaml import read
from champion.core.values import rounded
from champion.model.bootstrap import Resamples
from champion.model.metrics import score_with_intervals
from champion.pipeline.evaluate.params import EvaluateParams, Gate
from champion.pipeline.evaluate.verdicts import judge
from support.project import REPOSITORY

NUMBERS = st.floats(-1e6, 1e6)


def verdict(value: Any, low: float | None = None, high: float | None = None) -> dict[str, Any]:
    return judge({"metric": value}, {"metric": Gate(min=low, max=high)})["metric"]


@given(NUMBERS, NUMBERS, NUMBERS)
def test_a_verdict_passes_exactly_inside_its_bounds(value: float, one: float, other: float) -> None:
    low, high = sorted((one, other))
    found = verdict(value, low, high)
    assert found["passed"] is (low <= value <= high)
    assert found["margin"] == min(value - low, high - value)
    assert found["passed"] is (found["margin"] >= 0)
    assert (found["value"], found["min"], found["max"]) == (value, low, high)


@given(NUMBERS, NUMBERS)
def test_one_bound_is_enough(value: float, bound: float) -> None:
    assert verdict(value, low=bound)["margin"] == value - bound
    assert verdict(value, high=bound)["margin"] == bound - value


@pytest.mark.parametrize("bounds", [{"low": 0.65}, {"high": 0.65}, {"low": 0.65, "high": 0.65}])
def test_a_bound_itself_passes(bounds: dict[str, float]) -> None:
    assert verdict(0.65, **bounds) | {"passed": True, "margin": 0} == verdict(0.65, **bounds)


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf, "0.9", True, [0.9], {}])
def test_what_is_not_a_finite_number_is_a_no(value: Any) -> None:
    assert verdict(value, low=-1e9) == {"value": None, "min": -1e9, "max": None, "passed": False, "margin": None}


def test_a_missing_metric_is_a_no() -> None:
    assert judge({}, {"roc_auc": Gate(min=0)})["roc_auc"]["passed"] is False


def test_the_default_gates_are_closed_to_a_model_that_ranks_no_row() -> None:
    gates = read(EvaluateParams, REPOSITORY / PARAMS).gates
    target, constant = np.array([0, 1] * 50, np.int8), np.full(100, 0.5)
    metrics = score_with_intervals(target, constant, 0.5, 0.5, Resamples(100, None, 20, 0))
    assert {name: found["passed"] for name, found in judge(rounded(metrics), gates).items()} == dict.fromkeys(
        gates, False
    )


def test_every_gate_gets_a_verdict_and_other_metrics_none() -> None:
    gates = {"a": Gate(min=0), "b": Gate(max=0)}
    assert list(judge({"a": 1, "c": 1}, gates)) == ["a", "b"]
    assert judge({"a": 1}, {}) == {}
