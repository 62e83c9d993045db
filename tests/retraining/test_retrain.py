"""`champion retrain` on the small table: its seven steps, and how they end."""

import re
import shutil
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from champion.core.errors import UserError
from champion.environments import load_environment
from champion.registry import history
from champion.retraining.steps import Retraining
from champion.table.window import Calendar
from support.continuous import STEPS, Continuous
from support.project import EXAMPLE, Project
from support.small import TABLE, small_table
from support.webhook import Webhook


def test_a_first_training_goes_to_production_as_of_main(continuous: Continuous) -> None:
    assert continuous.serving("staging") == continuous.serving() == "v1"
    first = history.versions(continuous.rows())["v1"]
    assert first.params["as_of"] == "2022-07-01"
    assert continuous.references() == [
        "heads/main",
        "heads/retrain/2022-07-01",
        "tags/champion/staging/v1",
    ]


def test_newer_rows_make_a_champion_that_its_commit_makes_again(continuous: Continuous) -> None:
    continuous.add_cases()
    before = continuous.git("rev-parse", "HEAD")
    with (continuous.root / "params.yaml").open("a") as params:
        params.write("# a thought of somebody who works here\n")
    with Webhook() as webhook:
        done = continuous.retrain(environment={"CHAMPION_WEBHOOK_URL": webhook.url})
    assert continuous.serving("staging") == continuous.serving() == "v2"
    assert "retraining of production as of 2022-11-28: v2 is deployed to production" in webhook.texts
    assert re.findall(r"step \d of 7: (\w+)", done.stdout) == [*STEPS]
    version = history.versions(continuous.rows())["v2"]
    assert (version.params["as_of"], version.dirty) == ("2022-11-28", False)
    branch = continuous.git("rev-parse", "retrain/2022-11-28", folder=continuous.github)
    tag = continuous.git("rev-parse", "champion/staging/v2", folder=continuous.github)
    assert branch == tag == version.git_commit
    # What somebody does in the working tree takes no part, and stays.
    assert continuous.git("rev-parse", "HEAD") == before
    assert sorted(continuous.git("diff", "--name-only").split()) == [str(TABLE), "params.yaml"]
    assert len(continuous.git("worktree", "list").splitlines()) == 1
    # Another machine has only GitHub and the remote.
    clone = Project(continuous.root.with_name("clone"))
    continuous.git("clone", "--quiet", "--branch", "retrain/2022-11-28", str(continuous.github), str(clone.folder))
    shutil.copy(continuous.root / ".dvc/config.local", clone.folder / ".dvc/config.local")
    clone.run("dvc", "pull", "--quiet")
    assert clone.run("dvc", "status", "--quiet", check=False).returncode == 0
    assert clone.folder.joinpath("models/model.skops").exists()


@pytest.mark.sweep
def test_a_table_without_newer_rows_has_nothing_to_learn_from(continuous: Continuous) -> None:
    rows = len(continuous.rows())
    done = continuous.retrain()
    assert "nothing to learn from: no row is newer than the last training, as of 2022-07-01" in done.stdout
    assert len(continuous.rows()) == rows
    assert not list((continuous.root / "var/retraining").glob("work-*"))


@pytest.mark.sweep
def test_a_row_of_the_future_is_learned_from_when_its_day_has_come(continuous: Continuous) -> None:
    continuous.add_cases(days=36_500)
    assert "nothing to learn from" in continuous.retrain("extract").stdout


@pytest.mark.sweep
def test_a_lost_challenge_leaves_the_champion_and_no_branch(continuous: Continuous) -> None:
    continuous.edit_main("challenge", max_loss=0)
    continuous.add_cases()
    done = continuous.retrain("--new-champion", "new.txt")
    assert "v2 lost, and v1 stays the champion" in done.stdout
    assert "nothing is deployed" in done.stdout
    assert continuous.serving("staging") == continuous.serving() == "v1"
    assert "heads/retrain/2022-11-28" not in continuous.references()
    assert "tags/champion/staging/v2" not in continuous.references()
    assert continuous.git("branch", "--list", "retrain/2022-11-28") == ""
    assert not (continuous.root / "new.txt").exists()
    # It is judged: the next run does not train on the same rows again.
    assert "nothing to learn from" in continuous.retrain("extract").stdout


@pytest.mark.sweep
def test_a_breach_of_the_contract_stops_the_steps_after_it(continuous: Continuous) -> None:
    continuous.edit_main("contract", class_share=[0.9, 0.95])
    continuous.add_cases()
    rows = len(continuous.rows())
    with Webhook() as webhook:
        done = continuous.retrain(check=False, environment={"CHAMPION_WEBHOOK_URL": webhook.url})
    assert done.returncode == 1
    assert "the retraining of production failed in the step validate: `dvc repro` failed" in done.stderr
    assert done.stderr.endswith("Nothing was deployed.\n")
    assert "step 4 of 7" not in done.stdout
    assert len(continuous.rows()) == rows
    assert [text.partition(":")[0] for text in webhook.texts] == [
        "the retraining of production failed in the step validate"
    ]
    # The step after it, alone, makes no model either.
    assert continuous.retrain("train", check=False).returncode == 1
    assert continuous.retrain("compare", check=False).returncode == 1


@pytest.mark.sweep
def test_a_closed_gate_registers_nothing_and_is_not_asked_about_the_same_rows_again(continuous: Continuous) -> None:
    continuous.edit_main("gates", roc_auc={"min": 0.99})
    continuous.add_cases()
    rows = len(continuous.rows())
    done = continuous.retrain(check=False)
    assert "failed in the step evaluate: the gate is closed" in done.stderr
    assert continuous.retrain("compare", check=False).returncode == 1
    (refusal,) = continuous.rows()[rows:]
    assert (refusal.action, refusal.details["as_of"]) == ("retrain", "2022-11-28")
    assert "roc_auc" in str(refusal.reason)
    assert "no row is newer than the last training, as of 2022-11-28" in continuous.retrain("extract").stdout


def test_a_step_needs_those_before_it(continuous: Continuous) -> None:
    shutil.rmtree(continuous.root / "var/retraining")
    done = continuous.retrain("train", check=False)
    assert "no retraining of production has begun. Begin with `champion retrain extract`." in done.stderr
    assert "there is no step 'fit'" in continuous.retrain("fit", check=False).stderr


def test_a_day_after_today_is_refused() -> None:
    environment = load_environment("development", EXAMPLE)
    with pytest.raises(UserError, match="2999-01-01 is after today"):
        Retraining(environment, date(2999, 1, 1)).extract()


@pytest.mark.sweep
def test_a_database_gives_the_rows_of_a_window_of_thirty_days(continuous: Continuous, tmp_path: Path) -> None:
    table = small_table()
    days = [date(2022, 1, 1) + timedelta(days=number // 8) for number in range(len(table) * 2)]
    table = pl.concat([table, table]).with_columns(opened=pl.Series(days), case=pl.int_range(len(days)))
    url = f"sqlite:///{tmp_path}/cases.db"
    table.write_database("cases", url, engine="sqlalchemy")

    def edit(params: dict[str, Any]) -> None:
        query = "SELECT * FROM cases WHERE opened >= :start AND opened < :end"
        params["ingest"] = {"source": "sql", "query": query}
        params["window"], params["label"]["horizon"], params["split"]["test"] = "30d", "5d", "10d"
        # A test of ten days says little.
        params["gates"] = {"roc_auc": {"min": 0}}

    continuous.project.edit_params(edit)
    continuous.git("commit", "--quiet", "--all", "--message", "Read a database")
    continuous.git("push", "--quiet", "origin", "main")
    ledger = {
        "CHAMPION_DATABASE_URL": f"sqlite:///{tmp_path}/ledger.db",
        "CHAMPION_STORE_URL": str(tmp_path / "stores"),
    }
    continuous.retrain_before("compare", ledger | {"CHAMPION_SOURCE_URL": url})
    (work,) = (continuous.root / "var/retraining").glob("work-*")
    read = pl.read_parquet(work / "data/raw.parquet")["opened"]
    calendar = Calendar(days[-1] + timedelta(days=1), "5d", "30d", "10d")
    assert (read.min(), read.max()) == (calendar.start, days[-1])
    assert read.min() > days[0]
