"""What is left of a retraining that fails, is killed, or meets what somebody else did."""

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from filelock import FileLock

from champion.core.errors import ConflictError
from champion.registry import history
from champion.retraining.run import Run, file_of
from support.continuous import STEPS, Continuous
from support.small import TABLE
from support.webhook import Webhook


@pytest.mark.sweep
def test_a_disk_that_cannot_be_read_is_told(continuous: Continuous) -> None:
    # Reading it is an error of input and output.
    (continuous.root / "data/source/z.csv").symlink_to("/proc/self/mem")
    with Webhook() as webhook:
        done = continuous.retrain("extract", check=False, environment={"CHAMPION_WEBHOOK_URL": webhook.url})
    told = "the retraining of production failed in the step extract: [Errno 5] Input/output error"
    assert webhook.texts == [told]
    assert told in done.stderr
    assert "error: Input/output error" in done.stderr


@pytest.mark.sweep
@pytest.mark.parametrize("lost", ["var/remote", "var/github.git"])
def test_what_cannot_be_published_is_not_registered(continuous: Continuous, lost: str) -> None:
    continuous.add_cases()
    continuous.retrain_before("compare")
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


@pytest.mark.sweep
@pytest.mark.parametrize("step", STEPS)
def test_a_killed_step_deploys_nothing_and_is_taken_again(continuous: Continuous, step: str) -> None:
    continuous.add_cases()
    continuous.retrain_before(step)
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


@pytest.mark.sweep
def test_a_champion_whose_deployment_was_killed_is_deployed_by_the_next_run(continuous: Continuous) -> None:
    continuous.add_cases()
    continuous.retrain_before("deploy")
    assert continuous.serving() == "v1"
    # A token that is there for other programs asks for no pull request.
    done = continuous.retrain(environment={"GITHUB_TOKEN": "ghs_test"})
    assert "nothing to learn from" in done.stdout
    assert continuous.serving() == "v2"
    run = json.loads((continuous.root / "var/retraining/production.json").read_text())
    assert (run["version"], run["result"]) == ("v2", "deployed")


@pytest.mark.sweep
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


@pytest.mark.sweep
def test_what_somebody_decided_since_the_challenge_is_not_undone(continuous: Continuous) -> None:
    continuous.add_cases()
    continuous.retrain_before("deploy")
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


@pytest.mark.sweep
def test_what_somebody_pushed_since_the_beginning_is_not_replaced(continuous: Continuous) -> None:
    continuous.add_cases()
    continuous.retrain_before("compare")
    continuous.git("push", "--quiet", str(continuous.github), "main:refs/heads/retrain/2022-11-28")
    rows, pushed = len(continuous.rows()), continuous.git("rev-parse", "main")
    assert "failed in the step compare: `git push` failed" in continuous.retrain("compare", check=False).stderr
    assert continuous.git("rev-parse", "retrain/2022-11-28", folder=continuous.github) == pushed
    assert len(continuous.rows()) == rows


@pytest.mark.parametrize("content", ['{"environment": "produ', '{"environment": "production", "new": 1}'])
def test_a_damaged_note_of_the_last_run_is_told(tmp_path: Path, content: str) -> None:
    file = tmp_path / file_of("production")
    file.parent.mkdir(parents=True)
    file.write_text(content)
    with pytest.raises(ConflictError, match=r"production\.json cannot be read"):
        Run.read(tmp_path, "production")


@pytest.mark.sweep
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


@pytest.mark.sweep
def test_data_behind_a_link_of_git_is_refused(continuous: Continuous, tmp_path: Path) -> None:
    source = continuous.root / TABLE
    source.rename(tmp_path / "cases.csv")
    source.symlink_to(tmp_path / "cases.csv")
    continuous.project.commit("Link the table")
    continuous.git("push", "--quiet", "origin", "main")
    done = continuous.retrain("extract", check=False)
    assert f"{TABLE} is a symbolic link in git" in done.stderr
    assert (tmp_path / "cases.csv").exists()


@pytest.mark.sweep
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
