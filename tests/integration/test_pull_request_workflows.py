"""pipeline.yml and comment.yml on pull requests, run by act against a local S3 server and GitHub's stand-in."""

import re
from pathlib import Path

import pytest

from support.act import HOSTILE, PULL_ROLE, Run, Runner, read_yaml, use_this_environment
from support.project import REPOSITORY, Project


@pytest.fixture(scope="module")
def unchanged(runner: Runner) -> Run:
    return runner.pull_request("unchanged", "main")


@pytest.fixture(scope="module")
def fork(runner: Runner) -> Run:
    return runner.pull_request("unchanged", "main", owner="stranger")


def test_an_unchanged_model_passes_with_what_s3_has(unchanged: Run) -> None:
    assert unchanged.passed, unchanged.log
    assert unchanged.roles == [PULL_ROLE]
    assert unchanged.built == []
    assert "Data and pipelines are up to date." in unchanged.log
    assert unchanged.report.startswith("## ✅ Model: gates pass; unchanged from `origin/main`\n")
    assert "reproduced: every output of HEAD is bit for bit the same" in unchanged.log
    assert "a clone gave every output again, bit for bit" in unchanged.report
    assert (unchanged.artifacts / "report/report.html").stat().st_size > 10_000
    assert not (unchanged.artifacts / "regenerated-lock").exists()


@pytest.mark.sweep
def test_a_stale_lock_names_its_stage_and_offers_the_lock_to_commit(runner: Runner) -> None:
    run = runner.pull_request("stale", "main", name=HOSTILE)
    assert not run.passed
    assert run.roles == [PULL_ROLE]
    assert not [path for path in runner.folder.rglob("PWNED*") if path.is_file()], "a hostile name ran nothing"
    assert run.built[0] == "train", "S3 had what the lock names"
    assert run.step_failed("Is the committed lock true, bit for bit?")
    assert "stage train: the parameter train is modified since dvc.lock was made" in run.log
    assert run.report.startswith("## ❌ Model: gate closed, not reproducible; ")
    assert "uncommitted change" in run.report
    assert "stage train" in run.report
    assert "on the same" in run.report, "both models were paired: the pull got that of the base"
    lock = read_yaml(run.artifacts / "regenerated-lock/dvc.lock")
    assert lock["stages"]["train"]["params"]["params.yaml"]["train"]["hist_gradient_boosting"]["max_iter"] == 19
    assert (run.artifacts / "regenerated-lock/metrics/evaluation.json").is_file()


def test_a_fork_has_no_credentials_and_rebuilds_from_the_source(fork: Run, unchanged: Run) -> None:
    assert fork.passed, fork.log
    assert fork.roles == []
    assert set(fork.built) == set(read_yaml(REPOSITORY / "dvc.yaml")["stages"])
    assert "AWS_ACCESS_KEY_ID" in unchanged.log
    assert "AWS_ACCESS_KEY_ID" not in fork.log
    assert fork.report.partition("<summary>Lineage")[0] == unchanged.report.partition("<summary>Lineage")[0]


@pytest.fixture(scope="module")
def worse(runner: Runner, fork: Run) -> Run:
    """The outsider's second push: a worse model, with hostile names for both branches."""
    return runner.pull_request("worse", HOSTILE, owner="stranger", name=HOSTILE, after=fork)


@pytest.mark.sweep
def test_a_second_push_takes_from_the_cache_what_the_first_made(worse: Run) -> None:
    assert set(worse.built) == {"train", "refit", "rehearse", "package", "evaluate", "export"}


@pytest.mark.sweep
def test_a_worse_model_fails_at_the_gate_and_says_by_how_much_it_fell(worse: Run) -> None:
    assert not worse.passed
    assert worse.step_failed("Do all gates pass?")
    assert worse.step_failed("Did a metric fall by more than its tolerance?")
    assert not worse.step_failed("Is the committed lock true, bit for bit?")
    title = worse.report.splitlines()[0]
    assert title.startswith("## ❌ Model: gate closed, a metric dropped beyond its tolerance; worse than ")
    assert "| `train.hist_gradient_boosting.max_iter` | `20` | `1` |" in worse.report
    assert "| Against production | ➖ | not compared with production: " in worse.report


def test_hostile_names_run_nothing_and_stay_text(worse: Run, runner: Runner) -> None:
    assert "PWNED" in worse.report, "the base branch is named, as text"
    assert "&#64;everyone" in worse.report, "so is the metric"
    assert not re.search(r"<(?!/?(details|summary|code)>)|@|\n# ", worse.report)
    assert not [path for path in runner.folder.rglob("PWNED*") if path.is_file()]


def test_a_second_push_updates_the_one_comment(fork: Run, worse: Run, runner: Runner) -> None:
    runner.hub.forget()
    pull = runner.hub.open(7, head=f"stranger:{HOSTILE}", sha=fork.sha)
    first = runner.comment(fork, owner="stranger", branch=HOSTILE)
    assert first.passed, first.log
    assert "unchanged from" in runner.hub.comments[0]["body"]
    pull["head"]["sha"] = worse.sha
    assert runner.comment(worse, owner="stranger", branch=HOSTILE).passed
    [comment] = runner.hub.comments
    assert comment["issue"] == 7
    assert "❌ Model: gate closed" in comment["body"]
    assert "@\N{ZERO WIDTH SPACE}everyone" in comment["body"]
    assert "&#64;everyone" not in comment["body"]
    assert "unchanged from" not in comment["body"]
    assert not [path for path in runner.folder.rglob("PWNED*") if path.is_file()]


def test_a_run_that_left_no_report_says_so_in_the_comment(runner: Runner, tmp_path: Path) -> None:
    runner.hub.forget()
    runner.hub.open(8, head=f"o:{HOSTILE}", sha="a" * 40)
    run = Run(9, passed=False, log="", artifacts=tmp_path / "none", roles=[], cache=tmp_path / "cache", sha="a" * 40)
    assert runner.comment(run).passed, "a branch of the repository itself"
    [comment] = runner.hub.comments
    assert "no report" in comment["body"]
    assert "https://github.example/runs/9" in comment["body"]


def test_a_first_pull_request_has_no_baseline_to_fall_from(origin: Project, tmp_path: Path) -> None:
    project = origin.copy_to(tmp_path / "project")
    use_this_environment(project)
    steps = read_yaml(project.folder / ".github/workflows/pipeline.yml")["jobs"]["change"]["steps"]
    against_base = re.compile("champion (compare|report|gate)|dvc .* diff")
    commands = [step["run"] for step in steps if against_base.search(step.get("run", ""))]
    assert len(commands) == 5
    project.run("sh", "-ec", "\n".join(commands), environment={"CHAMPION_BASE": "empty"})
    report = (project.folder / "reports/change/report.md").read_text(encoding="utf-8")
    assert report.startswith("## ✅ Model: gates pass; first model: `empty` has no model\n")
