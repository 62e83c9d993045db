"""Which version becomes champion: fair rows, a paired interval, and a loss whenever something is missing."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from champion.core.errors import ConflictError, UserError
from champion.core.files import read_json, read_parquet, write_json, write_parquet
from champion.core.layout import AT_SPLIT, LABELLED, SCHEMA, TEST
from champion.delivery import deployment
from champion.delivery.challenge import Verdict, challenge
from champion.delivery.register import register
from champion.registry import history, standing
from support.delivery import DeliveryProject, InState
from support.project import Project


def judged(delivery_project: DeliveryProject, result: str, **sections: dict[str, Any]) -> Verdict:
    """Judge a result as the next version, with these changes of sections of params.yaml."""
    delivery_project.use_result(result)
    for section, changes in sections.items():
        delivery_project.edit_params(section, **changes)
    register(delivery_project.staging)
    return challenge(delivery_project.staging)


# Changes of the section `columns`.
ANOTHER_LABEL = {"answer": {"type": "category", "role": "ignore"}, "reply": {"type": "category", "role": "label"}}


def recalibrated(delivery_project: DeliveryProject, slope: float) -> Verdict:
    """Judge the models on disk with another calibration as the next version."""
    from support.results import recalibrate

    recalibrate(delivery_project.root, slope)
    delivery_project.edit_params("train", calibration="sigmoid")
    register(delivery_project.staging)
    return challenge(delivery_project.staging)


def champion_of(delivery_project: DeliveryProject) -> str | None:
    return standing.champion(delivery_project.staging.rows)


def test_the_first_model_needs_only_the_gates(delivery_project: DeliveryProject) -> None:
    verdict = judged(delivery_project, "weak")
    assert (verdict.won, verdict.comparison) == (True, None)
    assert champion_of(delivery_project) == "v1"


def test_a_better_recipe_wins_and_the_ledger_has_the_figures(on_each_database: DeliveryProject) -> None:
    judged(on_each_database, "weak")
    verdict = judged(on_each_database, "strong")
    assert verdict.won
    comparison, gain = verdict.comparison, verdict.comparison.gain
    assert comparison.rows == 3000
    assert gain.difference >= 0.01
    assert 0 < gain.low <= gain.difference <= gain.high
    assert comparison.brier.difference <= comparison.brier.high < 0
    recorded = on_each_database.staging.rows[-1]
    assert (recorded.version, recorded.from_version) == ("v2", "v1")
    assert (recorded.details["kind"], recorded.details["changed"]) == ("must win", ["train.seed"])
    assert recorded.details["comparison"]["gain"]["difference"] == round(gain.difference, 6)
    assert recorded.details["comparison"]["brier"]["high"] == round(comparison.brier.high, 6)
    assert (recorded.details["required"]["margin"], recorded.details["required"]["max_loss"]) == (0.01, 0.05)
    assert champion_of(on_each_database) == "v2"


def test_a_worse_recipe_loses(delivery_project: DeliveryProject) -> None:
    judged(delivery_project, "strong")
    verdict = judged(delivery_project, "weak")
    assert (verdict.won, verdict.contest.kind) == (False, "must win")
    assert verdict.comparison.gain.high < 0
    assert champion_of(delivery_project) == "v1"


def test_a_refresh_a_year_later_that_is_about_as_good_becomes_champion(delivery_project: DeliveryProject) -> None:
    judged(delivery_project, "strong")
    verdict = judged(delivery_project, "refreshed")
    assert (verdict.won, verdict.contest.kind) == (True, "must not lose")
    gain = verdict.comparison.gain
    assert gain.difference < 0.01
    assert -0.05 < gain.low < 0
    recorded = delivery_project.staging.rows[-1].details
    assert (recorded["kind"], recorded["changed"]) == ("must not lose", [])
    assert champion_of(delivery_project) == "v2"


def test_a_refresh_that_may_lose_too_much_loses(delivery_project: DeliveryProject) -> None:
    judged(delivery_project, "strong")
    verdict = judged(delivery_project, "weak", train={"seed": 0})
    assert (verdict.won, verdict.contest.kind) == (False, "must not lose")
    assert verdict.reasons[0].startswith("it may lose 0.05 or more: its roc_auc gain's 95% interval begins at -0.")


def test_the_same_scores_with_a_worse_calibration_lose(delivery_project: DeliveryProject) -> None:
    judged(delivery_project, "strong")
    verdict = recalibrated(delivery_project, slope=4)
    gain = verdict.comparison.gain
    assert (verdict.contest.kind, gain.difference, gain.low) == ("must not lose", 0, 0)
    [reason] = verdict.reasons
    assert reason.startswith("its Brier score is worse: the 95% interval of the difference begins at +0.")
    assert champion_of(delivery_project) == "v1"


def test_the_same_scores_with_the_same_calibration_do_not_lose(delivery_project: DeliveryProject) -> None:
    judged(delivery_project, "strong")
    assert recalibrated(delivery_project, slope=1).won


@pytest.mark.parametrize(
    ("champion", "challenger", "edits", "difference"),
    [
        ("refreshed", "strong", {}, "its as_of 2020-01-01 is earlier than 2021-01-01"),
        ("weak", "strong", {"label": {"horizon": 7}}, "its `label.horizon` is 7, not 6"),
        ("weak", "strong", {"columns": ANOTHER_LABEL}, "its label is the column 'reply', not 'answer'"),
        ("weak", "undated", {}, "its table has no dates"),
        ("undated", "strong", {}, "its table has dates, but that of v1 none"),
    ],
)
def test_what_answers_another_question_is_refused_and_not_recorded(
    delivery_project: DeliveryProject,
    champion: str,
    challenger: str,
    edits: dict[str, dict[str, Any]],
    difference: str,
) -> None:
    judged(delivery_project, champion)
    delivery_project.use_result(challenger)
    for section, changes in edits.items():
        delivery_project.edit_params(section, **changes)
    register(delivery_project.staging)
    before = delivery_project.staging.rows
    with pytest.raises(ConflictError) as refused:
        challenge(delivery_project.staging)
    assert str(refused.value) == (
        f"v2 cannot be compared with the champion v1: {difference}. To replace v1 all the same, run `champion retire "
        "v1 --reason WHY`; then the gates decide."
    )
    assert delivery_project.staging.rows == before


@pytest.mark.parametrize("metric", ["roc_auc", "f1_weighted"])
def test_a_model_that_is_no_better_loses(delivery_project: DeliveryProject, metric: str) -> None:
    judged(delivery_project, "strong")
    verdict = judged(delivery_project, "same", challenge={"metric": metric})
    assert not verdict.won
    assert any("0.01 is needed" in reason for reason in verdict.reasons)
    assert champion_of(delivery_project) == "v1"


def test_a_gain_within_chance_loses_whatever_the_margin(delivery_project: DeliveryProject) -> None:
    judged(delivery_project, "strong")
    verdict = judged(delivery_project, "same", challenge={"margin": 0})
    assert any("the gain may be zero" in reason for reason in verdict.reasons)


def test_rows_that_the_champion_trained_on_are_not_counted(delivery_project: DeliveryProject) -> None:
    judged(delivery_project, "weak")
    delivery_project.use_result("overlapping")
    test = read_parquet(delivery_project.root / TEST)
    register(delivery_project.staging)
    verdict = challenge(delivery_project.staging)
    assert (verdict.comparison.rows, verdict.comparison.excluded) == (test.height - 14, 14)


def mix_in_training_rows(delivery_project: DeliveryProject, count: int) -> None:
    """Let this many of the test rows be ones that the judged model learned from."""
    path = delivery_project.root / TEST
    learned, test = read_parquet(delivery_project.root / AT_SPLIT / LABELLED), read_parquet(path)
    write_parquet(path, pl.concat([test.head(test.height - count), learned.select(test.columns).head(count)]))


def test_without_dates_the_judged_model_is_the_delivered_one(delivery_project: DeliveryProject) -> None:
    judged(delivery_project, "undated")
    mix_in_training_rows(delivery_project, 10)
    verdict = recalibrated(delivery_project, slope=1)
    version = history.versions(delivery_project.staging.rows)["v2"]
    assert version.files["rehearsed.skops"] == version.model_sha256
    test = read_parquet(delivery_project.root / TEST).height
    assert (verdict.comparison.rows, verdict.comparison.excluded, verdict.won) == (test - 10, 10, True)


def test_too_few_new_rows_are_a_no(delivery_project: DeliveryProject) -> None:
    judged(delivery_project, "weak")
    verdict = judged(delivery_project, "strong", challenge={"min_rows": 3001})
    assert verdict.reasons == [
        "only 3,000 of 3,000 test rows are new to both models, but 3,001 are needed "
        "(`challenge.min_rows` in params.yaml)"
    ]


def test_half_of_the_test_rows_must_be_new_to_both(delivery_project: DeliveryProject) -> None:
    judged(delivery_project, "weak")
    delivery_project.use_result("strong")
    mix_in_training_rows(delivery_project, 1501)
    delivery_project.commit()
    register(delivery_project.staging)
    verdict = challenge(delivery_project.staging)
    assert verdict.reasons == [
        "only 1,499 of 3,000 test rows are new to both models, but 1,500 are needed (half of them, without "
        "`challenge.min_rows` in params.yaml)"
    ]
    delivery_project.use_result("strong")
    mix_in_training_rows(delivery_project, 1500)
    delivery_project.commit()
    assert challenge(delivery_project.staging).comparison.rows == 1500


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
    judged(delivery_project, "weak")
    delivery_project.staging.files.remove(delivery_project.staging.resolve("v1").key(name))
    assert "is missing" in judged(delivery_project, "strong").reasons[0]


def test_a_closed_gate_is_a_no(delivery_project: DeliveryProject) -> None:
    assert not judged(delivery_project, "strong", gates={"roc_auc": {"min": 0.99}}).won
    assert champion_of(delivery_project) is None


def test_another_version_than_that_on_disk_cannot_be_judged(delivery_project: DeliveryProject) -> None:
    register(delivery_project.staging)
    delivery_project.use_result("strong")
    assert "models/model.skops is not that of v1" in challenge(delivery_project.staging, "v1").reasons[0]
    with pytest.raises(UserError, match=r"models/model.skops with models/rehearsed.skops is not registered. Run `"):
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


def test_a_pair_is_judged_once(on_each_database: DeliveryProject) -> None:
    first = lost(on_each_database)
    again = challenge(on_each_database.staging)
    assert (again.won, again.row) == (None, None)
    assert again.stays == f"v2 lost to it before (ledger row 4): {first.row.reason}"
    assert on_each_database.staging.rows[-1] == first.row
    told = Project(on_each_database.root).champion("challenge", "--env", "staging")
    assert told.stdout.startswith("the champion v1 stays: v2 lost to it")
    assert json.loads(Project(on_each_database.root).champion("challenge", "--json").stdout)["won"] is None


def test_a_pair_is_judged_once_whatever_the_rows_and_the_limits(delivery_project: DeliveryProject) -> None:
    lost(delivery_project)
    file = delivery_project.root / TEST
    write_parquet(file, read_parquet(file).tail(2999))
    delivery_project.edit_params("challenge", margin=0, samples=100)
    assert challenge(delivery_project.staging).stays.startswith("v2 lost to it before (ledger row 4)")


def test_a_beaten_champion_gets_no_second_chance(delivery_project: DeliveryProject) -> None:
    judged(delivery_project, "weak")
    judged(delivery_project, "strong")
    delivery_project.use_result("weak")
    verdict = challenge(delivery_project.staging)
    assert (verdict.challenger, verdict.champion) == ("v1", "v2")
    assert verdict.stays == "it won against v1 before (ledger row 4)"


def test_a_challenge_that_compared_nothing_is_no_judgement(delivery_project: DeliveryProject) -> None:
    judged(delivery_project, "weak")
    assert judged(delivery_project, "strong", challenge={"min_rows": 3001}).won is False
    delivery_project.edit_params("challenge", min_rows=3000)
    assert challenge(delivery_project.staging).won


def test_groups_must_be_enough(delivery_project: DeliveryProject) -> None:
    judged(delivery_project, "strong")
    delivery_project.use_result("same")
    schema = delivery_project.root / SCHEMA
    write_json(schema, read_json(schema) | {"group": "region"})
    delivery_project.edit_params("columns", region={"type": "category", "role": "group", "feature": True})
    register(delivery_project.staging)
    verdict = challenge(delivery_project.staging)
    assert verdict.reasons == [
        "the test rows that are new to both models make up 3.0 effective groups by 'region', but an interval needs 20"
    ]
    assert verdict.row.details["required"]["group"] == "region"


def test_the_version_on_disk_is_the_one_with_both_files(delivery_project: DeliveryProject) -> None:
    judged(delivery_project, "weak")
    delivery_project.use_result("strong")
    register(delivery_project.staging)
    # A second version of the same delivered model, which another judged model was registered with.
    registry = delivery_project.staging
    row = registry.rows[-1]
    details = dict(row.details) | {"files": row.details["files"] | {"rehearsed.skops": "0" * 64}}
    with registry.ledger.appending() as session:
        session.append("register", version="v3", model_sha256=row.model_sha256, details=details)
    assert challenge(delivery_project.staging).challenger == "v2"
    (delivery_project.root / "models/rehearsed.skops").write_bytes(b"another")
    with pytest.raises(UserError, match=r"models/model.skops with models/rehearsed.skops is not registered"):
        challenge(delivery_project.staging)


@pytest.fixture
def rolled_back(in_state: InState) -> DeliveryProject:
    """Production serves v1 again, after v2 won against it and was promoted."""
    delivery_project = in_state("promoted twice")
    deployment.rollback(delivery_project.production)
    return delivery_project


def test_a_winner_that_was_rolled_back_does_not_win_again(rolled_back: DeliveryProject) -> None:
    verdict = challenge(rolled_back.staging)
    assert (verdict.challenger, verdict.champion, verdict.won) == ("v2", "v1", None)
    assert verdict.stays == "v2 won against it before (ledger row 7), but was replaced again"


def test_a_rollback_of_production_makes_the_old_version_the_one_to_beat(rolled_back: DeliveryProject) -> None:
    assert champion_of(rolled_back) == "v1"
    assert judged(rolled_back, "same").row.from_version == "v1"


def test_the_table_is_printed_and_a_loss_is_an_exit_status(delivery_project: DeliveryProject) -> None:
    judged(delivery_project, "weak")
    delivery_project.use_result("strong")
    register(delivery_project.staging)
    project = Project(delivery_project.root)
    won = project.champion("challenge").stdout.splitlines()
    assert won[0] == "must win: other values of train.seed"
    assert won[1].split() == ["roc_auc", "Brier", "score"]
    assert [line.split()[0] for line in won[2:6]] == ["champion", "challenger", "difference", "95%"]
    assert won[6:] == ["3,000 rows, 0 others excluded: a model learned from them", "v2 is champion instead of v1"]
    delivery_project.use_result("same")
    register(delivery_project.staging)
    lost = project.champion("challenge", "--json", check=False)
    assert lost.returncode == 1
    assert "v3 does not become champion" in lost.stderr
    told = json.loads(lost.stdout)
    assert (told["challenger"], told["champion"], told["won"]) == ("v3", "v2", False)
    assert (told["kind"], told["changed"]) == ("must win", ["train.seed"])
    assert told["reasons"]
    assert told["comparison"]["gain"]["difference"] < 0.01
    assert told["comparison"]["brier"].keys() == {"champion", "challenger", "difference", "low", "high"}
