"""What the rehearsals say of one more test."""

import pytest

from champion.pipeline.evaluate.stage import expect


def rehearsals(*roc_aucs: float) -> list[dict[str, float]]:
    return [{"roc_auc": value, "brier_skill": value} for value in roc_aucs]


def test_an_expected_metric_stays_within_its_range() -> None:
    found = expect(rehearsals(0.3, 0.6, 0.9))
    assert found["rehearsed_roc_auc"] == pytest.approx(0.6)
    assert (found["rehearsed_roc_auc_low"], found["rehearsed_roc_auc_high"]) == (0, 1)
    assert found["rehearsed_brier_skill_low"] == pytest.approx(0.6 - 4.302653 * 0.3 * (4 / 3) ** 0.5, abs=1e-6)
    assert found["rehearsed_brier_skill_high"] == 1


def test_two_rehearsals_give_a_mean_without_an_interval() -> None:
    found = expect(rehearsals(0.6, 0.8))
    assert found["rehearsed_roc_auc"] == pytest.approx(0.7)
    assert found["rehearsed_roc_auc_low"] is found["rehearsed_roc_auc_high"] is None
