"""train.yml and deploy.yml, run by act: a version goes through staging to production, and back."""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
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
    database: Path
    webhook: Webhook

    def train(self, branch: str) -> Run:
        return self._act(branch, "train", "workflow_dispatch", {"inputs": {}})

    def deploy(self, branch: str, conclusion: str = "success") -> Run:
        event = {"action": "completed", "workflow_run": {"conclusion": conclusion, "head_branch": "main"}}
        return self._act(branch, "deploy", "workflow_run", event)

    def serving(self, environment: str) -> str | None:
        """The version that the environment serves, by its ledger."""
        with sqlite3.connect(self.database) as ledger:
            rows = ledger.execute(
                "SELECT version FROM ledger WHERE environment = ? AND action IN ('deploy', 'promote', 'rollback') "
                "ORDER BY sequence DESC",
                (environment,),
            ).fetchall()
        return rows[0][0] if rows else None

    def _act(self, branch: str, workflow: str, event_name: str, event: dict[str, Any]) -> Run:
        number = len(self.runner.runs) + 1
        clone = Project(self.runner.folder / f"clone{number}")
        origin = self.runner.origin
        origin.run("git", "clone", "--quiet", "--branch", branch, str(origin.folder), str(clone.folder))
        secrets = {"CHAMPION_DATABASE_URL": f"sqlite:///{self.database}", "CHAMPION_WEBHOOK_URL": self.webhook.url}
        options = [word for name, value in secrets.items() for word in ("--secret", f"{name}={value}")]
        run = self.runner.act(clone.folder, workflow, None, event_name, event, *options)
        self.runner.runs.append(run)
        assert not [value for value in secrets.values() if value in run.log], "a secret is in the log"
        return run


@pytest.fixture(scope="module")
def delivery(runner: Runner) -> Iterator[Delivery]:
    """The same, with a first version in production."""
    with Webhook() as webhook:
        delivery = Delivery(runner, runner.folder / "ledger.db", webhook)
        trained = delivery.train("weaker")
        assert trained.passed, trained.log
        assert trained.built == [], "S3 had what the lock names"
        deployed = delivery.deploy("weaker")
        assert deployed.passed, deployed.log
        yield delivery


def test_a_first_model_goes_through_staging_to_production(delivery: Delivery) -> None:
    assert delivery.serving("staging") == delivery.serving("production") == "v1"
    told = [text.partition(", by ")[0] for text in delivery.webhook.texts]
    assert told[-1] == "training success, staging success, production success"
    assert "promote v1 in production" in told
    assert "smoke v1 in production: passed" in told


def test_training_that_failed_deploys_nothing_and_is_told(delivery: Delivery) -> None:
    run = delivery.deploy("weaker", conclusion="failure")
    assert "Deploy the champion" not in run.log
    assert delivery.webhook.texts[-1] == "training failure, staging skipped, production skipped"


def test_a_failed_smoke_test_in_production_rolls_back_by_itself(
    delivery: Delivery,
) -> None:
    trained = delivery.train("main")
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
    run = delivery.deploy("main")
    assert not run.passed
    assert run.step_failed("Does it predict the same as at registration? If not, roll back"), run.log
    assert not run.step_failed("Promote the champion")
    assert delivery.serving("staging") == "v2"
    assert delivery.serving("production") == "v1"
    assert delivery.webhook.texts[-1] == "training success, staging success, production failure"


def test_training_that_makes_no_new_model_is_a_success_that_says_why(delivery: Delivery) -> None:
    trained = delivery.train("main")
    assert trained.passed, trained.log
    assert "the champion v1 stays: v2 won against it before" in trained.log
