"""Which version becomes champion: fair rows, a paired interval, and a loss whenever something is missing."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import f1_score, roc_auc_score

from champion.core.errors import UserError
from champion.core.files import read_json, read_parquet, write_json, write_parquet
from champion.core.layout import AT_SPLIT, LABELLED, SCHEMA, TEST
from champion.delivery import deployment
from champion.delivery.challenge import Verdict, challenge
from champion.delivery.register import register
from champion.model.bootstrap import Resamples, paired_interval
from champion.model.weighted import weighted_f1, weighted_roc_auc
from champion.registry import history
from support.delivery import DeliveryProject, InState
from support.project import Project


def judged(delivery_project: DeliveryProject, result: str) -> Verdict:
    delivery_project.use_result(result)
    register(delivery_project.staging)
    return challenge(delivery_project.staging)


def champion_of(delivery_project: DeliveryProject) -> str | None:
    return history.champion(delivery_project.staging.rows)


def test_the_first_model_needs_only_the_gates(delivery_project: DeliveryProject) -> None:
    verdict = judged(delivery_project, "weak")
    assert (verdict.won, verdict.comparison) == (True, None)
    assert champion_of(delivery_project) == "v1"


def test_a_better_model_wins_and_the_ledger_has_the_figures(on_each_database: DeliveryProject) -> None:
    judged(on_each_database, "weak")
    verdict = judged(on_each_database, "strong")
    assert verdict.won
    comparison = verdict.comparison
    assert comparison.rows == 3000
    assert comparison.gain >= 0.01
    assert comparison.low > 0
    assert comparison.low <= comparison.gain <= comparison.high
    recorded = on_each_database.staging.rows[-1]
    assert (recorded.version, recorded.from_version) == ("v2", "v1")
    assert recorded.details["comparison"]["gain"] == round(comparison.gain, 6)
    assert champion_of(on_each_database) == "v2"


@pytest.mark.parametrize("metric", ["roc_auc", "f1_weighted"])
def test_a_model_that_is_no_better_loses(delivery_project: DeliveryProject, metric: str) -> None:
    judged(delivery_project, "strong")
    delivery_project.use_result("same")
    delivery_project.edit_params("challenge", metric=metric)
    register(delivery_project.staging)
    verdict = challenge(delivery_project.staging)
    assert not verdict.won
    assert any("0.01 is needed" in reason for reason in verdict.reasons)
    assert champion_of(delivery_project) == "v1"


def test_a_gain_within_chance_loses_whatever_the_margin(delivery_project: DeliveryProject) -> None:
    judged(delivery_project, "strong")
    delivery_project.use_result("same")
    delivery_project.edit_params("challenge", margin=0)
    register(delivery_project.staging)
    assert any("the gain may be zero" in reason for reason in challenge(delivery_project.staging).reasons)


def test_rows_that_the_champion_trained_on_are_not_counted(delivery_project: DeliveryProject) -> None:
    judged(delivery_project, "weak")
    delivery_project.use_result("overlapping")
    test = read_parquet(delivery_project.root / TEST)
    register(delivery_project.staging)
    verdict = challenge(delivery_project.staging)
    assert (verdict.comparison.rows, verdict.comparison.excluded) == (test.height - 14, 14)


def test_without_dates_the_judged_model_is_the_delivered_one(delivery_project: DeliveryProject) -> None:
    judged(delivery_project, "weak")
    learned = read_parquet(delivery_project.root / AT_SPLIT / LABELLED)["person"]
    verdict = judged(delivery_project, "undated")
    version = history.versions(delivery_project.staging.rows)["v2"]
    assert version.files["rehearsed.skops"] == version.model_sha256
    test = read_parquet(delivery_project.root / TEST)["person"]
    assert verdict.comparison.excluded == test.is_in(learned).sum() > 0
    assert verdict.comparison.rows == test.len() - verdict.comparison.excluded


def test_too_few_new_rows_are_a_no(delivery_project: DeliveryProject) -> None:
    judged(delivery_project, "weak")
    delivery_project.use_result("strong")
    delivery_project.edit_params("challenge", min_rows=3001)
    register(delivery_project.staging)
    verdict = challenge(delivery_project.staging)
    assert verdict.reasons == [
        "only 3,000 of 3,000 test rows are new to both models, but 3,001 are needed "
        "(`challenge.min_rows` in params.yaml)"
    ]


def test_rows_the_challenger_itself_trained_on_are_not_counted(delivery_project: DeliveryProject) -> None:
    judged(delivery_project, "weak")
    prepared = delivery_project.root / "data/prepared"
    delivery_project.use_result("strong")
    write_parquet(prepared / "test.parquet", read_parquet(prepared / "at_split/labelled.parquet"))
    delivery_project.commit()
    register(delivery_project.staging)
    assert "only 0 of 3,000 test rows are new to both" in challenge(delivery_project.staging).reasons[0]


@pytest.mark.parametrize("missing", ["models/model.skops", "models/rehearsed.skops", "data/prepared/test.parquet"])
def test_anything_missing_is_a_recorded_no(delivery_project: DeliveryProject, missing: str) -> None:
    judged(delivery_project, "weak")
    delivery_project.use_result("strong")
    register(delivery_project.staging)
    (delivery_project.root / missing).unlink()
    verdict = challenge(delivery_project.staging, "v2")
    assert Path(missing).parts[0] in verdict.reasons[0]
    assert delivery_project.staging.rows[-1].details["promoted"] is False
    assert champion_of(delivery_project) == "v1"


@pytest.mark.parametrize("name", ["rehearsed.skops", "training_rows.u64"])
def test_a_champion_whose_files_are_gone_cannot_be_beaten(delivery_project: DeliveryProject, name: str) -> None:
    first = judged(delivery_project, "weak").row
    delivery_project.staging.files.remove(f"{first.model_sha256}/{name}")
    assert "is missing" in judged(delivery_project, "strong").reasons[0]


def test_a_closed_gate_is_a_no(delivery_project: DeliveryProject) -> None:
    delivery_project.use_result("strong")
    delivery_project.edit_params("gates", roc_auc={"min": 0.99})
    register(delivery_project.staging)
    verdict = challenge(delivery_project.staging)
    assert not verdict.won
    assert champion_of(delivery_project) is None


def test_another_version_than_that_on_disk_cannot_be_judged(delivery_project: DeliveryProject) -> None:
    register(delivery_project.staging)
    delivery_project.use_result("strong")
    assert "models/model.skops is not that of v1" in challenge(delivery_project.staging, "v1").reasons[0]
    with pytest.raises(UserError, match=r"models/model.skops is not registered. Run `champion register`"):
        challenge(delivery_project.staging)


@pytest.mark.parametrize("name", ["v1", None])
def test_the_champion_stays_when_it_is_the_model_to_judge(delivery_project: DeliveryProject, name: str | None) -> None:
    before = judged(delivery_project, "weak").row
    verdict = challenge(delivery_project.staging, name)
    assert (verdict.won, verdict.stays) == (None, "it is itself the version to judge")
    assert delivery_project.staging.rows[-1] == before


def test_the_version_on_disk_is_judged_and_not_the_newest(delivery_project: DeliveryProject) -> None:
    for result in ("weak", "strong", "same"):
        delivery_project.use_result(result)
        register(delivery_project.staging)
    delivery_project.use_result("weak")
    assert challenge(delivery_project.staging).won
    delivery_project.use_result("strong")
    assert challenge(delivery_project.staging).challenger == "v2"


def lost(delivery_project: DeliveryProject) -> Verdict:
    judged(delivery_project, "strong")
    verdict = judged(delivery_project, "same")
    assert verdict.won is False
    return verdict


def test_a_pair_is_not_compared_again_on_the_same_rows(on_each_database: DeliveryProject) -> None:
    first = lost(on_each_database)
    again = challenge(on_each_database.staging)
    assert (again.won, again.row) == (None, None)
    assert again.stays == f"v2 lost to it on these rows before (ledger row 4): {first.row.reason}"
    assert on_each_database.staging.rows[-1] == first.row
    told = Project(on_each_database.root).champion("challenge", "--env", "staging")
    assert told.stdout.startswith("the champion v1 stays: v2 lost to it")
    assert json.loads(Project(on_each_database.root).champion("challenge", "--json").stdout)["won"] is None


def test_a_pair_is_compared_again_by_other_rules(delivery_project: DeliveryProject) -> None:
    lost(delivery_project)
    delivery_project.edit_params("challenge", margin=0.02)
    assert challenge(delivery_project.staging).won is False


def test_a_pair_is_compared_again_by_groups_that_must_be_enough(delivery_project: DeliveryProject) -> None:
    before = lost(delivery_project).row.details["required"]
    schema = delivery_project.root / SCHEMA
    write_json(schema, read_json(schema) | {"group": "region"})
    delivery_project.edit_params("columns", region={"type": "category", "role": "group", "feature": True})
    verdict = challenge(delivery_project.staging)
    assert verdict.reasons == [
        "the test rows that are new to both models make up 3.0 effective groups by 'region', but an interval needs 20"
    ]
    assert (before["group"], verdict.row.details["required"]["group"]) == (None, "region")


def test_a_pair_is_compared_again_on_other_rows(delivery_project: DeliveryProject) -> None:
    lost(delivery_project)
    file = delivery_project.root / TEST
    write_parquet(file, read_parquet(file).tail(2999))
    delivery_project.commit()
    assert challenge(delivery_project.staging).comparison.rows == 2999


def test_a_challenge_recorded_before_rows_had_a_hash_is_no_comparison(delivery_project: DeliveryProject) -> None:
    row = lost(delivery_project).row
    old = {key: value for key, value in row.details.items() if key != "held_out_md5"}
    rows = [*delivery_project.staging.rows[:-1], replace(row, details=old)]
    required = row.details["required"]
    assert history.comparison(rows, "v1", "v2", row.details["held_out_md5"], required) is None
    assert history.comparison([row], "v1", "v2", row.details["held_out_md5"], required) == row


@pytest.fixture
def rolled_back(in_state: InState) -> DeliveryProject:
    """Production serves v1 again, after v2 won against it and was promoted."""
    delivery_project = in_state("promoted twice")
    deployment.rollback(delivery_project.production)
    return delivery_project


def test_a_winner_that_was_rolled_back_does_not_win_again_on_the_same_rows(rolled_back: DeliveryProject) -> None:
    verdict = challenge(rolled_back.staging)
    assert (verdict.challenger, verdict.champion, verdict.won) == ("v2", "v1", None)
    assert "v2 won against it on these rows before (ledger row 7), but was replaced again" in verdict.stays


def test_a_rollback_of_production_makes_the_old_version_the_one_to_beat(rolled_back: DeliveryProject) -> None:
    assert champion_of(rolled_back) == "v1"
    assert judged(rolled_back, "same").row.from_version == "v1"


def test_weighted_scores_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    target = rng.integers(0, 2, 500).astype(np.int8)
    probability = np.round(rng.random(500), 1)
    weight = rng.integers(0, 4, 500).astype(float)
    auc = weighted_roc_auc(target, probability)(weight)
    assert auc == pytest.approx(roc_auc_score(target, probability, sample_weight=weight))
    called = probability >= 0.5
    f1 = weighted_f1(target, called)(weight)
    assert f1 == pytest.approx(f1_score(target, called, sample_weight=weight, average="weighted"))


def test_the_interval_is_of_the_paired_difference() -> None:
    rng = np.random.default_rng(0)
    target = rng.integers(0, 2, 2000).astype(np.int8)
    first = target + rng.normal(0, 2, 2000)
    slightly_better = first + 0.1 * target
    one, two = weighted_roc_auc(target, first), weighted_roc_auc(target, slightly_better)
    low, high = paired_interval(one, two, Resamples(2000, None, 200, 0))
    # An unpaired interval would be as wide as the interval of one score, about 0.05.
    assert 0 < low < high < 0.05
    assert high - low < 0.01
    assert paired_interval(one, one, Resamples(2000, None, 100, 0)) == (0.0, 0.0)


def test_one_class_only_gives_no_interval() -> None:
    ones = np.ones(50, dtype=np.int8)
    score = weighted_roc_auc(ones, np.linspace(0, 1, 50))
    assert all(np.isnan(end) for end in paired_interval(score, score, Resamples(50, None, 100, 0)))


def test_the_table_is_printed_and_a_loss_is_an_exit_status(delivery_project: DeliveryProject) -> None:
    judged(delivery_project, "weak")
    delivery_project.use_result("strong")
    register(delivery_project.staging)
    project = Project(delivery_project.root)
    won = project.champion("challenge").stdout
    assert "challenger v2" in won
    assert "95% interval" in won
    assert "v2 is champion instead of v1" in won
    delivery_project.use_result("same")
    register(delivery_project.staging)
    lost = project.champion("challenge", "--json", check=False)
    assert lost.returncode == 1
    assert "v3 does not become champion" in lost.stderr
    told = json.loads(lost.stdout)
    assert (told["challenger"], told["champion"], told["won"]) == ("v3", "v2", False)
    assert told["reasons"]
    assert told["comparison"]["gain"] < 0.01
    assert json.loads((delivery_project.root / "params.yaml").read_text())["challenge"]["min_rows"] == 500
