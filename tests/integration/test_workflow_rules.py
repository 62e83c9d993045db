"""Rules for every workflow: no logic, minimal permissions, pinned actions."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import botocore.session
import pytest

from support.act import WORKFLOWS, read_yaml
from support.project import REPOSITORY
from support.s3 import REGION

# A step either sets up, or runs one command in an environment that `make` set up.
COMMAND = re.compile(
    r"make (repro|setup( GROUP=[a-z0-9]+)?|test|test-all)"
    r'|\.venv/bin/(champion|dvc)( [\w./-]+| "\$[A-Z_]+")+'
    r'|python3 -m champion\.(report\.comment|retraining\.(branch|handover)) "\$[A-Z_]+"'
)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_are_thin_and_closed(path: Path) -> None:
    workflow = read_yaml(path)
    assert workflow["permissions"] == {}
    assert "pull_request_target" not in workflow["on"]
    assert "concurrency" in workflow
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 60
        assert job["permissions"]
        for step in job["steps"]:
            assert "uses" in step or COMMAND.fullmatch(step["run"])
        runs = [step.get("run", "") for step in job["steps"]]
        environment = [number for number, run in enumerate(runs) if run.startswith(".venv/bin/")]
        assert not environment or any(run.startswith("make setup") for run in runs[: environment[0]])


def test_the_job_that_comments_on_what_a_fork_made_installs_nothing() -> None:
    writers = {
        (path.stem, name): job
        for path in WORKFLOWS
        for name, job in read_yaml(path)["jobs"].items()
        if job["permissions"].get("pull-requests") == "write"
    }
    # The other one follows a training on main.
    assert writers.keys() == {("comment", "comment"), ("deploy", "propose")}
    *before, post = writers["comment", "comment"]["steps"]
    assert [step["uses"].partition("@")[0] for step in before] == ["actions/checkout", "actions/download-artifact"]
    assert post["run"].startswith("python3 -m champion.report.comment ")
    assert post["env"]["PYTHONPATH"] == "src"


def secrets_of(job: dict[str, Any]) -> set[str]:
    """The secrets that a job can use, besides the token that every job has."""
    return set(re.findall(r"secrets\.(\w+)", json.dumps(job)))


def test_only_jobs_of_a_github_environment_have_secrets_that_can_write() -> None:
    for path in WORKFLOWS:
        for name, job in read_yaml(path)["jobs"].items():
            can_write = secrets_of(job) - {"CHAMPION_READER_DATABASE_URL"}
            assert not can_write or "environment" in job, f"{path.stem}: {name}"


def test_no_job_that_trains_begins_before_its_branch_is_main() -> None:
    workflow = read_yaml(REPOSITORY / ".github/workflows/train.yml")
    asks, *others = workflow["jobs"].items()
    assert asks[1]["steps"][-1]["run"] == 'python3 -m champion.retraining.branch "$GITHUB_REF"'
    assert "if" not in asks[1], "a job that is skipped is no refusal"
    assert "environment" not in asks[1]
    assert asks[1]["permissions"] == {"contents": "read"}
    assert others
    for _, job in others:
        assert job["needs"] == asks[0]
        assert "if" not in job


def test_a_job_uses_the_role_and_the_secrets_of_its_own_environment_alone() -> None:
    names = {name: job for path in WORKFLOWS for name, job in read_yaml(path)["jobs"].items() if job.get("environment")}
    assert {job["environment"] for job in names.values()} == {"staging", "production"}
    for name, job in names.items():
        # GitHub gives a job the variables and secrets of its environment under the same names in both.
        assert not re.search("staging|production", " ".join(secrets_of(job)), re.IGNORECASE), name
        assert job.get("env", {}).get("ENVIRONMENT", job["environment"]) == job["environment"]
        for step in job["steps"]:
            role = step.get("with", {}).get("role-to-assume")
            assert role in (None, "${{ vars.AWS_DELIVERY_ROLE }}")
            assert "--env " not in step.get("run", ""), "only ENVIRONMENT says which"


def test_production_takes_what_staging_tested_by_its_name() -> None:
    jobs = read_yaml(REPOSITORY / ".github/workflows/deploy.yml")["jobs"]
    assert "staging" in jobs["production"]["needs"]
    commands = [
        step
        for name in ("staging", "production")
        for step in jobs[name]["steps"]
        if re.search("champion (ready|deploy|smoke|promote)", step.get("run", ""))
    ]
    assert len(commands) == 5
    for step in commands:
        assert '"$CHAMPION_VERSION"' in step["run"]
        assert step["env"]["CHAMPION_VERSION"] == "${{ needs.champion.outputs.version }}"


@pytest.mark.parametrize("name", ["tests", "pipeline"])
def test_develop_is_covered_as_main_is(name: str) -> None:
    events = read_yaml(REPOSITORY / f".github/workflows/{name}.yml")["on"]
    assert events == {"push": {"branches": ["main", "develop"]}, "pull_request": None}


@pytest.mark.parametrize("name", ["train", "deploy"])
def test_develop_delivers_nothing(name: str) -> None:
    assert "develop" not in (REPOSITORY / f".github/workflows/{name}.yml").read_text(encoding="utf-8")


def test_the_whole_suite_has_a_threshold_of_coverage_and_one_file_has_none() -> None:
    steps = read_yaml(REPOSITORY / ".github/workflows/tests.yml")["jobs"]["test"]["steps"]
    run, upload = steps[-2:]
    threshold = re.search(r"--cov-fail-under=(\d+)", run["env"]["PYTEST_ADDOPTS"])
    assert run["run"] == "make test"
    assert threshold is not None
    assert int(threshold[1]) >= 85
    assert upload["uses"].startswith("actions/upload-artifact@")
    assert upload["if"] == "${{ !cancelled() }}", "of a failed run too"
    assert f"html:{upload['with']['path']}" in run["env"]["PYTEST_ADDOPTS"]
    tools = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    assert "coverage" not in tools
    assert not [option for option in tools["pytest"]["ini_options"]["addopts"] if "cov" in option]


def test_actions_are_pinned_by_commit_and_say_their_version() -> None:
    for path in WORKFLOWS:
        for line in path.read_text(encoding="utf-8").splitlines():
            if "uses:" in line:
                assert re.search(r"uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line), line


def test_a_repository_without_an_endpoint_variable_uses_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    for path in WORKFLOWS:
        for job in read_yaml(path)["jobs"].values():
            for step in job["steps"]:
                endpoint = step.get("env", {}).get("AWS_ENDPOINT_URL")
                assert endpoint in (None, "${{ vars.AWS_ENDPOINT_URL }}")
                assert endpoint or not re.search("champion (pull|push)", step.get("run", ""))
                assert endpoint is None or "uses" not in step, "a role is always of AWS"
    monkeypatch.setenv("AWS_ENDPOINT_URL", "")
    client = botocore.session.get_session().create_client("s3", region_name=REGION)
    assert client.meta.endpoint_url.endswith(".amazonaws.com")
