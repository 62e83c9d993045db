"""What somebody who can write to the working tree tries, so that a worse model wins or a closed gate opens."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from champion.core.errors import ConflictError, UserError
from champion.core.files import read_parquet, write_json, write_parquet
from champion.delivery.challenge import challenge
from champion.delivery.gate import failures
from champion.delivery.register import register
from champion.registry import standing
from champion.table.columns import TARGET
from support.delivery import DeliveryProject, git
from support.results import write_lock

TEST = Path("data/prepared/test.parquet")


@pytest.fixture
def contest(delivery_project: DeliveryProject) -> DeliveryProject:
    """`strong` is champion, and `same`, which is no better, is registered and on disk."""
    for result in ("strong", "same"):
        delivery_project.use_result(result)
        register(delivery_project.staging)
        if result == "strong":
            assert challenge(delivery_project.staging).won
    return delivery_project


def assert_lost(delivery_project: DeliveryProject, reason: str, name: str | None = None) -> None:
    verdict = challenge(delivery_project.staging, name)
    assert verdict.won is False
    assert reason in verdict.reasons[0]
    assert standing.champion(delivery_project.staging.rows) == "v1"


def flatter(project: DeliveryProject) -> None:
    """Let the test rows be those that v2 gets right and v1 does not."""
    rows = read_parquet(project.root / TEST)
    models = [project.staging.load_model(name) for name in ("v1", "v2")]
    champion, challenger = (model.predict(rows) for model in models)
    target = (challenger > champion).astype("int8")
    write_parquet(project.root / TEST, rows.with_columns(pl.Series(TARGET, target)))


def assert_not_judged(contest: DeliveryProject, reason: str) -> None:
    """Neither a challenge nor the gate judges, and no row is written."""
    before = contest.staging.rows
    for judge in (lambda: challenge(contest.staging), lambda: failures(contest.root)):
        with pytest.raises(ConflictError, match=reason):
            judge()
    assert contest.staging.rows == before


def test_replaced_held_out_rows_win_nothing(contest: DeliveryProject) -> None:
    flatter(contest)
    assert_lost(contest, "data/prepared/test.parquet: it differs from dvc.lock")


def test_replaced_rows_with_a_lock_that_nobody_committed_are_not_judged(contest: DeliveryProject) -> None:
    flatter(contest)
    write_lock(contest.root)
    assert_not_judged(contest, r"dvc.lock: uncommitted change. Commit the outputs of `dvc repro`")


def test_a_lock_that_git_was_told_not_to_look_at_is_still_not_the_committed_one(contest: DeliveryProject) -> None:
    flatter(contest)
    git(contest.root, "update-index", "--assume-unchanged", "dvc.lock")
    write_lock(contest.root)
    with pytest.raises(ConflictError, match=r"dvc.lock: uncommitted change"):
        challenge(contest.staging)


def edit_metrics(root: Path) -> None:
    """Let the metrics, and the verdicts on them, be those of a model that passes."""
    metrics = json.loads((root / "metrics/evaluation.json").read_text())
    write_json(root / "metrics/evaluation.json", metrics | {"roc_auc": 0.99})
    gates = json.loads((root / "metrics/gates.json").read_text())
    [verdict] = gates["verdicts"]
    low = verdict["min"]
    verdict |= {"value": 0.99, "margin": 0.99 - low, "passed": True}
    write_json(root / "metrics/gates.json", gates)


@pytest.mark.parametrize("name", ["models/model.skops", "models/rehearsed.skops"])
def test_a_swapped_model_closes_the_gate(contest: DeliveryProject, name: str) -> None:
    shutil.copy2(contest.results / "strong" / name, contest.root / name)
    with pytest.raises(UserError, match=f"{name}: it differs from dvc.lock"):
        failures(contest.root)
    contest.commit()
    assert failures(contest.root) == [
        "metrics/gates.json: it is about other models than models/model.skops and models/rehearsed.skops. Run `dvc "
        "repro`."
    ]


def test_a_swapped_judged_model_is_neither_registered_nor_compared(contest: DeliveryProject) -> None:
    shutil.copy2(contest.results / "strong/models/rehearsed.skops", contest.root / "models/rehearsed.skops")
    with pytest.raises(UserError, match=r"models/rehearsed.skops: it differs from dvc.lock"):
        register(contest.staging)
    contest.commit()
    with pytest.raises(ConflictError, match=r"metrics/gates.json: it is about other models"):
        register(contest.staging)
    reason = "models/rehearsed.skops is not that of v2: check out the commit from which it was registered"
    assert_lost(contest, reason, "v2")
    with pytest.raises(UserError, match=r"models/model.skops with models/rehearsed.skops is not registered"):
        challenge(contest.staging)


def test_edited_metrics_open_no_gate(delivery_project: DeliveryProject) -> None:
    assert failures(delivery_project.root) == []
    edit_metrics(delivery_project.root)
    with pytest.raises(UserError, match=r"metrics/evaluation.json: it differs from dvc.lock"):
        failures(delivery_project.root)


def test_edited_metrics_of_training_open_no_gate(delivery_project: DeliveryProject) -> None:
    training = delivery_project.root / "metrics/training.json"
    write_json(training, json.loads(training.read_text()) | {"base_rate": 0.99})
    with pytest.raises(UserError, match=r"metrics/training.json: it differs from dvc.lock"):
        failures(delivery_project.root)


def test_a_challenge_judges_the_registered_metrics_of_training(delivery_project: DeliveryProject) -> None:
    register(delivery_project.staging)
    delivery_project.edit_params("gates", training_base_rate={"below": 0})
    (reason,) = challenge(delivery_project.staging).reasons
    assert reason.startswith("training_base_rate: 0.")
    assert reason.endswith("is not below 0")


def test_a_challenge_judges_the_registered_metrics_not_edited_ones(delivery_project: DeliveryProject) -> None:
    delivery_project.edit_params("gates", roc_auc={"min": 0.97})
    register(delivery_project.staging)
    edit_metrics(delivery_project.root)
    verdict = challenge(delivery_project.staging)
    assert verdict.reasons[0].startswith("roc_auc: 0.")
    assert verdict.reasons[0].endswith("is outside min 0.97")


def test_metrics_that_were_forged_at_registration_win_nothing_later(delivery_project: DeliveryProject) -> None:
    delivery_project.edit_params("gates", roc_auc={"min": 0.97})
    edit_metrics(delivery_project.root)
    write_lock(delivery_project.root)
    version, _ = register(delivery_project.staging)
    assert version.dirty is True
    git(delivery_project.root, "checkout", "--quiet", ".")
    verdict = challenge(delivery_project.staging)
    assert verdict.reasons == ["v1 was registered with uncommitted changes, and then another result was committed"]


def test_metrics_that_git_was_told_not_to_look_at_are_registered_as_dirty(delivery_project: DeliveryProject) -> None:
    git(delivery_project.root, "update-index", "--assume-unchanged", "dvc.lock", "metrics/evaluation.json")
    git(delivery_project.root, "update-index", "--assume-unchanged", "metrics/gates.json")
    edit_metrics(delivery_project.root)
    write_lock(delivery_project.root)
    version, _ = register(delivery_project.staging)
    assert version.dirty is True


def interrupt(project: DeliveryProject) -> None:
    """What is left of a `dvc repro` that ended before evaluate: new models, with the metrics of the old ones."""
    lock = json.loads((project.root / "dvc.lock").read_text())
    evaluation = {name: (project.root / f"metrics/{name}.json").read_bytes() for name in ("evaluation", "gates")}
    project.copy_result("weak")
    trained = json.loads((project.root / "dvc.lock").read_text())
    for name, content in evaluation.items():
        (project.root / f"metrics/{name}.json").write_bytes(content)
    stages = trained["stages"] | {"evaluate": lock["stages"]["evaluate"]}
    (project.root / "dvc.lock").write_text(json.dumps({"stages": stages}))


@pytest.mark.parametrize("act", [lambda project: failures(project.root), lambda project: register(project.staging)])
def test_an_interrupted_run_is_neither_judged_nor_registered(
    delivery_project: DeliveryProject, act: Callable[[DeliveryProject], object]
) -> None:
    delivery_project.use_result("strong")
    interrupt(delivery_project)
    git(delivery_project.root, "commit", "--quiet", "--all", "--message", "Too early")
    with pytest.raises(
        UserError, match=r"dvc.lock: stage evaluate: it read another .* than the one that stage \w+ wrote"
    ):
        act(delivery_project)


def test_an_interrupted_run_wins_no_challenge(contest: DeliveryProject) -> None:
    lock = json.loads((contest.root / "dvc.lock").read_text())
    lock["stages"]["prepare"]["outs"][0]["md5"] = "0" * 32 + ".dir"
    (contest.root / "dvc.lock").write_text(json.dumps(lock))
    git(contest.root, "commit", "--quiet", "--all", "--message", "Too early")
    assert_lost(contest, "stage evaluate: it read another data/prepared/at_as_of than the one that stage prepare wrote")


@pytest.mark.parametrize(
    ("section", "changes"),
    [("gates", {"roc_auc": {"min": 0.1}}), ("challenge", {"margin": 0.0}), ("decision", {"share": 0.9})],
)
def test_limits_that_nobody_committed_are_refused(
    contest: DeliveryProject, section: str, changes: dict[str, object]
) -> None:
    contest.write_params(section, **changes)
    write_lock(contest.root)
    assert_not_judged(contest, f"params.yaml: uncommitted change of `{section}`. Commit it")


def test_limits_committed_after_the_run_are_refused(delivery_project: DeliveryProject) -> None:
    delivery_project.write_params("gates", roc_auc={"min": 0.1})
    git(delivery_project.root, "commit", "--quiet", "--all", "--message", "Looser")
    with pytest.raises(UserError, match=r"stage evaluate: `gates` of params.yaml changed since it ran"):
        failures(delivery_project.root)


@pytest.mark.parametrize("empty", ["null", "NaN"])
def test_a_feature_that_is_missing_in_every_test_row_is_a_no(contest: DeliveryProject, empty: str) -> None:
    value = pl.lit(None if empty == "null" else float("nan"), dtype=pl.Float64)
    write_parquet(contest.root / TEST, read_parquet(contest.root / TEST).with_columns(income=value))
    contest.commit()
    assert_lost(contest, "the feature 'income' of v1 is missing in every test row")


def test_a_first_model_needs_a_value_of_every_feature_too(delivery_project: DeliveryProject) -> None:
    file = delivery_project.root / TEST
    write_parquet(file, read_parquet(file).with_columns(region=pl.lit(None, dtype=pl.String)))
    delivery_project.commit()
    register(delivery_project.staging)
    verdict = challenge(delivery_project.staging)
    assert verdict.reasons == ["the feature 'region' of v1 is missing in every test row"]


def test_files_that_git_never_saw_are_not_judged(delivery_project: DeliveryProject) -> None:
    shutil.rmtree(delivery_project.root / ".git")
    git(delivery_project.root, "init", "--quiet")
    with pytest.raises(ConflictError, match=r"params.yaml: not committed, so other people cannot see what is judged"):
        failures(delivery_project.root)
