"""train.yml and deploy.yml, run by act: a version goes through staging to production, and back."""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from support.act import Run, Runner
from support.project import Project
from support.s3 import Bucket
from support.webhook import Webhook


@dataclass
class Delivery:
    """train.yml and deploy.yml of a repository with a ledger, stores on S3, and a webhook."""

    runner: Runner
    github: Path
    database: Path
    webhook: Webhook

    def use_main(self, branch: str) -> None:
        """Let main at GitHub be a branch of origin."""
        self.runner.origin.run("git", "push", "--quiet", "--force", str(self.github), f"{branch}:refs/heads/main")

    def train(self, as_of: str = "2011-01-01", branch: str = "main") -> Run:
        return self._act("train", "workflow_dispatch", {"inputs": {"as_of": as_of}}, branch=branch)

    def deploy(self, trained: Run, conclusion: str = "success") -> Run:
        workflow_run = {"conclusion": conclusion, "head_branch": "main", "id": trained.number}
        event = {"action": "completed", "workflow_run": workflow_run}
        return self._act("deploy", "workflow_run", event, trained)

    def branches(self) -> list[str]:
        """The branches at GitHub."""
        return self._references("refs/heads")

    def tags(self) -> list[str]:
        return self._references("refs/tags")

    def _references(self, under: str) -> list[str]:
        command = ("git", "-C", str(self.github), "for-each-ref", "--format=%(refname:lstrip=2)", under)
        return self.runner.origin.run(*command).stdout.split()

    def serving(self, environment: str) -> str | None:
        """The version that the environment serves, by its ledger."""
        with sqlite3.connect(self.database) as ledger:
            rows = ledger.execute(
                "SELECT version FROM ledger WHERE environment = ? AND action IN ('deploy', 'promote', 'rollback') "
                "ORDER BY sequence DESC",
                (environment,),
            ).fetchall()
        return rows[0][0] if rows else None

    def deploy_to_staging(self, version: str) -> None:
        """As a person does it, by hand."""
        environment = {
            **self.runner.server.environment,
            "CHAMPION_DATABASE_URL": f"sqlite:///{self.database}",
            "CHAMPION_STORE_URL": f"s3://{self.runner.server.bucket}/models",
            "ENVIRONMENT": "staging",
        }
        clone = Project(self.runner.folder / f"clone{len(self.runner.runs)}")
        clone.run("champion", "deploy", version, environment=environment)

    def _act(
        self,
        workflow: str,
        event_name: str,
        event: dict[str, Any],
        after: Run | None = None,
        *,
        branch: str = "main",
    ) -> Run:
        number = len(self.runner.runs) + 1
        clone = Project(self.runner.folder / f"clone{number}")
        self.runner.origin.run("git", "clone", "--quiet", "--branch", branch, str(self.github), str(clone.folder))
        event = {"ref": f"refs/heads/{branch}", **event}
        self.runner.hub.branches = self.branches()
        secrets = {"CHAMPION_DATABASE_URL": f"sqlite:///{self.database}", "CHAMPION_WEBHOOK_URL": self.webhook.url}
        options = [word for name, value in secrets.items() for word in ("--secret", f"{name}={value}")]
        artifacts, its_number = (after.artifacts, after.number) if after else (None, None)
        run = self.runner.act(
            clone.folder, workflow, None, event_name, event, *options, artifacts=artifacts, number=its_number
        )
        self.runner.runs.append(run)
        assert not [value for value in secrets.values() if value in run.log], "a secret is in the log"
        return run


@pytest.fixture(scope="module")
def delivery(runner: Runner) -> Iterator[Delivery]:
    """The same, with a first version in production."""
    with Webhook() as webhook:
        delivery = Delivery(runner, runner.folder / "github.git", runner.folder / "ledger.db", webhook)
        runner.origin.run("git", "init", "--quiet", "--bare", "--initial-branch=main", str(delivery.github))
        delivery.use_main("weaker")
        trained = delivery.train()
        assert trained.passed, trained.log
        assert trained.built == [], "S3 had what the lock names"
        deployed = delivery.deploy(trained)
        assert deployed.passed, deployed.log
        yield delivery


def test_a_first_model_goes_through_staging_to_production(delivery: Delivery) -> None:
    assert delivery.serving("staging") == delivery.serving("production") == "v1"
    told = [text.partition(", by ")[0] for text in delivery.webhook.texts]
    assert told[-1] == "training success, staging success, production success"
    assert "promote v1 in production" in told
    assert "smoke v1 in production: passed" in told


def test_a_result_that_main_has_needs_no_branch_but_a_tag(delivery: Delivery) -> None:
    assert delivery.branches() == ["main"]
    assert delivery.tags() == ["champion/staging/v1"]
    assert delivery.runner.hub.pulls == []


def test_training_that_failed_deploys_nothing_and_is_told(delivery: Delivery) -> None:
    run = delivery.deploy(delivery.runner.runs[0], conclusion="failure")
    assert "Deploy the champion" not in run.log
    assert delivery.webhook.texts[-1] == "training failure, staging skipped, production skipped"


@pytest.mark.sweep
def test_a_failed_smoke_test_in_production_rolls_back_by_itself(
    delivery: Delivery,
) -> None:
    delivery.use_main("main")
    trained = delivery.train()
    assert trained.passed, trained.log
    bucket = Bucket(delivery.runner.server)
    before = bucket.keys()

    def spoil(text: str) -> None:
        delivery.webhook.status = 500
        if text.startswith("promote v2 in production"):
            for key in bucket.keys() - before:
                if key.startswith("models/production/") and key.endswith("/model.skops"):
                    bucket.write(key, b"spoilt")

    delivery.webhook.on_text = spoil
    run = delivery.deploy(trained)
    assert not run.passed
    assert run.step_failed("Does it predict the same as at registration? If not, roll back"), run.log
    assert not run.step_failed("Promote the champion")
    assert delivery.serving("staging") == "v2"
    assert delivery.serving("production") == "v1"
    assert delivery.webhook.texts[-1] == "training success, staging success, production failure"


@pytest.mark.sweep
def test_a_training_without_a_new_champion_ends_the_deployment_at_its_first_step(delivery: Delivery) -> None:
    trained = delivery.train()
    assert trained.passed, trained.log
    assert "v1 stays the champion: v2 won against it before" in trained.log
    told = len(delivery.webhook.texts)
    run = delivery.deploy(trained)
    assert run.passed, run.log
    assert "there is no new champion" in run.log
    assert "Run Main Set up" not in run.log
    assert delivery.webhook.texts[told:] == []


def test_a_name_that_cannot_be_downloaded_is_a_failure(delivery: Delivery, tmp_path: Path) -> None:
    (tmp_path / "unreachable").touch()
    run = delivery.deploy(replace(delivery.runner.runs[0], artifacts=tmp_path / "unreachable"))
    assert not run.passed
    assert run.step_failed("Download its name"), run.log
    assert delivery.webhook.texts[-1] == "training success, staging skipped, production skipped"


@pytest.mark.sweep
def test_a_new_champion_comes_to_main_by_a_pull_request(delivery: Delivery) -> None:
    delivery.webhook.on_text = lambda _: None
    delivery.webhook.status = 200
    trained = delivery.train("2011-01-02")
    assert trained.passed, trained.log
    assert delivery.branches() == ["main", "retrain/2011-01-02"]
    deployed = delivery.deploy(trained)
    assert deployed.passed, deployed.log
    assert delivery.serving("production") == "v3"
    (pull,) = delivery.runner.hub.pulls
    assert (pull["head"]["ref"], pull["base"]["ref"]) == ("retrain/2011-01-02", "main")
    assert pull["title"] == "Retrained as of 2011-01-02: v3 is the champion"


def test_training_on_another_branch_is_refused_before_a_job_has_a_secret(delivery: Delivery) -> None:
    delivery.runner.origin.run("git", "push", "--quiet", "--force", str(delivery.github), "main:refs/heads/topic")
    run = delivery.train(branch="topic")
    assert not run.passed
    assert run.step_failed("Refuse another branch, before a job has a secret"), run.log
    assert "refs/heads/topic: train.yml runs only on main" in run.log
    assert run.roles == []
    assert "Run Main Set up" not in run.log


@pytest.mark.sweep
def test_a_version_that_staging_no_longer_serves_is_not_promoted(delivery: Delivery) -> None:
    trained = delivery.train("2011-01-03")
    assert trained.passed, trained.log

    def replace_it(text: str) -> None:
        if text.startswith("smoke v4 in staging: passed"):
            delivery.deploy_to_staging("v2")

    delivery.webhook.on_text = replace_it
    run = delivery.deploy(trained)
    assert not run.passed
    assert run.step_failed("Promote the champion"), run.log
    assert "v4 is not live in staging" in run.log
    assert delivery.serving("staging") == "v2"
    assert delivery.serving("production") == "v3"
