"""`champion retrain` on the small table: its seven steps, and what is left when one fails or is killed."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from filelock import FileLock

from champion.core.errors import ConflictError, UserError
from champion.environments import load_environment
from champion.registry import history
from champion.registry.chain import Row
from champion.registry.registry import Registry
from champion.retraining.run import Run, file_of
from champion.retraining.steps import Retraining
from champion.table.window import Calendar
from support.project import REPOSITORY, Project, built_once, copy_working_tree
from support.small import TABLE, small_table, use_small_params
from support.webhook import Webhook

STEPS = ("extract", "prepare", "validate", "train", "evaluate", "compare", "deploy")
NEWEST = date(2022, 6, 30)


@dataclass(frozen=True)
class Continuous:
    """A project whose production serves v1, with a repository at GitHub, a DVC remote and a ledger beside it."""

    project: Project

    @property
    def root(self) -> Path:
        return self.project.folder

    @property
    def github(self) -> Path:
        return self.root / "var/github.git"

    @property
    def variables(self) -> dict[str, str]:
        var = self.root / "var"
        return {
            "CHAMPION_DATABASE_URL": f"sqlite:///{var}/ledger.db",
            "CHAMPION_STORE_URL": str(var / "stores"),
            "MLFLOW_TRACKING_URI": f"sqlite:///{var}/mlflow.db",
        }

    def retrain(
        self, *arguments: str, check: bool = True, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        variables = self.variables | dict(environment or {})
        command = ("retrain", *arguments, "--env", "production")
        return self.project.champion(*command, check=check, environment=variables, warm_stages=True)

    def start(self, *steps: str, at: Path | None = None) -> "subprocess.Popen[str]":
        """The same in a process of its own, which can be killed, perhaps in another clone."""
        return subprocess.Popen(
            [sys.executable, "-m", "champion", "retrain", *steps, "--env", "production"],
            cwd=at or self.root,
            env=os.environ | self.variables | {"PYTHONPATH": str(self.root / "src")},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def rows(self) -> list[Row]:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.variables.items():
                patch.setenv(name, value)
            return Registry.open(load_environment("production", self.root)).rows

    def serving(self, environment: str = "production") -> str | None:
        live = history.live(self.rows(), environment)
        return None if live is None else live.version

    def git(self, *arguments: str, folder: Path | None = None) -> str:
        return self.project.run("git", "-C", str(folder or self.root), *arguments).stdout.strip()

    def references(self) -> list[str]:
        """The branches and tags at GitHub."""
        listed = self.git("for-each-ref", "--format=%(refname)", folder=self.github)
        return [name.removeprefix("refs/") for name in listed.split()]

    def add_cases(self, days: int = 150, rows: int = 150) -> None:
        """Let the source have the newest cases once more, so many days later."""
        table = small_table()
        later = table.tail(rows).with_columns(pl.col("opened") + timedelta(days=days), pl.col("case") + 10_000)
        pl.concat([table, later]).write_csv(self.root / TABLE)

    def edit_main(self, section: str, **changes: Any) -> None:
        """Change params.yaml on main, here and at GitHub."""
        self.project.edit_params(lambda params: params[section].update(changes))
        self.project.run("git", "commit", "--quiet", "--all", "--message", f"Change {section}")
        self.git("push", "--quiet", "origin", "main")


def connect(project: Project) -> Continuous:
    """Let the project know its GitHub and its DVC remote, which are below its folder."""
    found = Continuous(project)
    local = f"[core]\n    remote = disk\n['remote \"disk\"']\n    url = {project.folder}/var/remote\n"
    (project.folder / ".dvc/config.local").write_text(local)
    found.git("remote", "set-url", "origin", str(found.github))
    return found


@pytest.fixture(scope="session")
def in_production(shared: Path) -> Project:
    """The first model of a small table, brought to production by a first retraining. Copy it."""
    folder = shared / "continuous"

    def build() -> None:
        project = copy_working_tree(folder)
        use_small_params(project)
        project.edit_params(lambda params: params["challenge"].update(max_loss=0.9, margin=0))
        (folder / TABLE).parent.mkdir(exist_ok=True)
        small_table().write_csv(folder / TABLE)
        project.commit("A small table")
        project.run("git", "clone", "--quiet", "--bare", str(folder), str(folder / "var/github.git"))
        project.run("git", "remote", "add", "origin", "nowhere")
        connect(project).retrain()
        project.pack()

    built_once(shared / "continuous.done", build)
    return Project(folder)


@pytest.fixture
def continuous(in_production: Project, tmp_path: Path) -> Continuous:
    return connect(in_production.copy_to(tmp_path / "project"))


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


def test_a_table_without_newer_rows_has_nothing_to_learn_from(continuous: Continuous) -> None:
    rows = len(continuous.rows())
    done = continuous.retrain()
    assert "nothing to learn from: no row is newer than the last training, as of 2022-07-01" in done.stdout
    assert len(continuous.rows()) == rows
    assert not list((continuous.root / "var/retraining").glob("work-*"))


def test_a_row_of_the_future_is_learned_from_when_its_day_has_come(continuous: Continuous) -> None:
    continuous.add_cases(days=36_500)
    assert "nothing to learn from" in continuous.retrain("extract").stdout


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


def test_a_disk_that_cannot_be_read_is_told(continuous: Continuous) -> None:
    # Reading it is an error of input and output.
    (continuous.root / "data/source/z.csv").symlink_to("/proc/self/mem")
    with Webhook() as webhook:
        done = continuous.retrain("extract", check=False, environment={"CHAMPION_WEBHOOK_URL": webhook.url})
    told = "the retraining of production failed in the step extract: [Errno 5] Input/output error"
    assert webhook.texts == [told]
    assert told in done.stderr
    assert "error: Input/output error" in done.stderr


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


@pytest.mark.parametrize("lost", ["var/remote", "var/github.git"])
def test_what_cannot_be_published_is_not_registered(continuous: Continuous, lost: str) -> None:
    continuous.add_cases()
    for step in STEPS[:5]:
        continuous.retrain(step)
    rows = len(continuous.rows())
    (continuous.root / lost).rename(continuous.root / "var/elsewhere")
    (continuous.root / lost).write_text("not a folder")
    done = continuous.retrain("compare", check=False)
    assert done.returncode == 1
    assert "failed in the step compare" in done.stderr
    assert len(continuous.rows()) == rows
    (continuous.root / lost).unlink()
    (continuous.root / "var/elsewhere").rename(continuous.root / lost)
    assert "v2 is the champion" in continuous.retrain("compare").stdout


def test_a_second_retraining_is_refused_while_one_runs(continuous: Continuous) -> None:
    with FileLock(continuous.root / "var/retraining.lock"):
        done = continuous.retrain(check=False)
    assert done.stderr == "error: another retraining runs on this machine. Wait for its end.\n"
    assert done.returncode == 1


@pytest.mark.sweep
def test_two_machines_that_retrain_at_once_make_one_version(continuous: Continuous) -> None:
    continuous.add_cases()
    other = continuous.project.copy_to(continuous.root.with_name("other")).folder
    processes = [continuous.start(), continuous.start(at=other)]
    told = [process.communicate()[0] for process in processes]
    ended = [process.returncode for process in processes]
    assert sorted(ended) in ([0, 0], [0, 1]), told
    refused = "the champion changed while this challenge ran"
    assert all(refused in text for text, status in zip(told, ended, strict=True) if status), told
    assert continuous.serving("staging") == continuous.serving() == "v2"
    judged = [row.version for row in continuous.rows() if row.action in ("register", "challenge")]
    assert judged == ["v1", "v1", "v2", "v2"]
    version = history.versions(continuous.rows())["v2"]
    assert continuous.git("rev-parse", "retrain/2022-11-28", folder=continuous.github) == version.git_commit


def test_a_step_needs_those_before_it(continuous: Continuous) -> None:
    shutil.rmtree(continuous.root / "var/retraining")
    done = continuous.retrain("train", check=False)
    assert "no retraining of production has begun. Begin with `champion retrain extract`." in done.stderr
    assert "there is no step 'fit'" in continuous.retrain("fit", check=False).stderr


@pytest.mark.parametrize(
    "step", [pytest.param(step, marks=[] if step == "compare" else pytest.mark.sweep) for step in STEPS]
)
def test_a_killed_step_deploys_nothing_and_is_taken_again(continuous: Continuous, step: str) -> None:
    continuous.add_cases()
    for before in STEPS[: STEPS.index(step)]:
        continuous.retrain(before)
    process = continuous.start(step)
    assert process.stdout is not None
    while not process.stdout.readline().startswith("step "):
        pass
    # Let it be on its way.
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.5)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert continuous.serving() == "v1"
    assert continuous.retrain().returncode == 0
    assert continuous.serving("staging") == continuous.serving() == "v2"
    registered = [row.version for row in continuous.rows() if row.action == "register"]
    assert registered == ["v1", "v2"]
    assert not list((continuous.root / "var/retraining").glob("work-*"))


def test_a_champion_whose_deployment_was_killed_is_deployed_by_the_next_run(continuous: Continuous) -> None:
    continuous.add_cases()
    for step in STEPS[:6]:
        continuous.retrain(step)
    assert continuous.serving() == "v1"
    # A token that is there for other programs asks for no pull request.
    done = continuous.retrain(environment={"GITHUB_TOKEN": "ghs_test"})
    assert "nothing to learn from" in done.stdout
    assert continuous.serving() == "v2"
    run = json.loads((continuous.root / "var/retraining/production.json").read_text())
    assert (run["version"], run["result"]) == ("v2", "deployed")


def test_a_challenge_that_was_won_before_a_failure_is_deployed_by_the_next_run(continuous: Continuous) -> None:
    continuous.add_cases()
    hook = continuous.github / "hooks/update"
    hook.write_text("#!/bin/sh\ncase $1 in refs/tags/*) exit 1;; esac\n")
    hook.chmod(0o755)
    assert "failed in the step compare: `git push` failed" in continuous.retrain(check=False).stderr
    assert continuous.serving() == "v1"
    hook.unlink()
    # As on another machine.
    (continuous.root / "var/retraining/production.json").unlink()
    continuous.retrain("--new-champion", "new.txt")
    assert continuous.serving("staging") == continuous.serving() == "v2"
    assert (continuous.root / "new.txt").read_text() == "v2"
    assert "tags/champion/staging/v2" in continuous.references()


def test_what_somebody_decided_since_the_challenge_is_not_undone(continuous: Continuous) -> None:
    continuous.add_cases()
    for step in STEPS[:6]:
        continuous.retrain(step)
    continuous.project.champion("deploy", "v2", "--env", "staging", environment=continuous.variables)
    continuous.project.champion("rollback", "--env", "staging", environment=continuous.variables)
    done = continuous.retrain("deploy", check=False)
    assert "rolled v2 back in staging (ledger row" in done.stderr
    assert done.stderr.endswith("`champion status` says what is served.\n")
    assert continuous.serving("staging") == "v1"
    retire = ("retire", "v2", "--reason", "It is wrong.", "--env", "production")
    continuous.project.champion(*retire, environment=continuous.variables)
    assert "v2 is not the champion any more" in continuous.retrain("deploy", check=False).stderr
    assert "nothing to learn from" in continuous.retrain("--new-champion", "new.txt").stdout
    assert not (continuous.root / "new.txt").exists()
    assert continuous.serving("staging") == continuous.serving() == "v1"


def test_a_branch_of_somebody_is_not_replaced(continuous: Continuous) -> None:
    continuous.add_cases()
    continuous.git("stash", "--quiet")
    continuous.git("checkout", "--quiet", "-b", "retrain/2022-11-28")
    continuous.git("stash", "pop", "--quiet")
    assert "retrain/2022-11-28 is checked out" in continuous.retrain("extract", check=False).stderr
    continuous.git("commit", "--quiet", "--allow-empty", "--message", "A thought")
    commit = continuous.git("rev-parse", "HEAD")
    continuous.git("push", "--quiet", "origin", "HEAD")
    continuous.git("checkout", "--quiet", "main")
    told = "refs/heads/retrain/2022-11-28 has commits of somebody"
    assert told in continuous.retrain("extract", check=False).stderr
    continuous.git("branch", "--quiet", "-D", "retrain/2022-11-28")
    told = "refs/remotes/origin/retrain/2022-11-28 has commits of somebody"
    assert told in continuous.retrain("extract", check=False).stderr
    assert continuous.git("rev-parse", "retrain/2022-11-28", folder=continuous.github) == commit


def test_a_day_after_today_is_refused() -> None:
    environment = load_environment("development", REPOSITORY)
    with pytest.raises(UserError, match="2999-01-01 is after today"):
        Retraining(environment, date(2999, 1, 1)).extract()


@pytest.mark.parametrize("content", ['{"environment": "produ', '{"environment": "production", "new": 1}'])
def test_a_damaged_note_of_the_last_run_is_told(tmp_path: Path, content: str) -> None:
    file = tmp_path / file_of("production")
    file.parent.mkdir(parents=True)
    file.write_text(content)
    with pytest.raises(ConflictError, match=r"production\.json cannot be read"):
        Run.read(tmp_path, "production")


def test_a_changed_file_leaves_the_cache_as_it_is(continuous: Continuous) -> None:
    source = continuous.root / TABLE
    continuous.project.run("dvc", "config", "--local", "cache.type", "symlink")
    continuous.git("rm", "--quiet", "--cached", TABLE)
    continuous.project.run("dvc", "add", "--quiet", TABLE)
    continuous.project.commit("Let DVC have the table")
    continuous.git("push", "--quiet", "origin", "main")
    cached = source.resolve()
    content = cached.read_bytes()
    source.unlink()
    continuous.add_cases()
    continuous.retrain("extract")
    assert cached.read_bytes() == content
    (work,) = (continuous.root / "var/retraining").glob("work-*")
    assert (work / TABLE).read_bytes() == source.read_bytes() != content


def test_data_behind_a_link_of_git_is_refused(continuous: Continuous, tmp_path: Path) -> None:
    source = continuous.root / TABLE
    source.rename(tmp_path / "cases.csv")
    source.symlink_to(tmp_path / "cases.csv")
    continuous.project.commit("Link the table")
    continuous.git("push", "--quiet", "origin", "main")
    done = continuous.retrain("extract", check=False)
    assert f"{TABLE} is a symbolic link in git" in done.stderr
    assert (tmp_path / "cases.csv").exists()


def test_a_working_tree_on_a_disk_that_is_not_here_stays_known(continuous: Continuous, tmp_path: Path) -> None:
    continuous.add_cases()
    continuous.git("worktree", "add", "--quiet", "--detach", str(tmp_path / "disk/mine"))
    (tmp_path / "disk").rename(tmp_path / "unplugged")
    continuous.retrain("extract")
    (work,) = (continuous.root / "var/retraining").glob("work-*")
    shutil.rmtree(work)
    continuous.retrain("extract")
    (tmp_path / "unplugged").rename(tmp_path / "disk")
    assert continuous.git("status", "--short", folder=tmp_path / "disk/mine") == ""
    # The one that was gone is forgotten.
    assert len(continuous.git("worktree", "list").splitlines()) == 3


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
    for step in STEPS[:5]:
        continuous.retrain(step, environment=ledger | {"CHAMPION_SOURCE_URL": url})
    (work,) = (continuous.root / "var/retraining").glob("work-*")
    read = pl.read_parquet(work / "data/raw.parquet")["opened"]
    calendar = Calendar(days[-1] + timedelta(days=1), "5d", "30d", "10d")
    assert (read.min(), read.max()) == (calendar.start, days[-1])
    assert read.min() > days[0]
