"""The workflows, run by act in temporary clones, against a local S3 server and stand-ins for GitHub."""

import json
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from ruamel.yaml import YAML

from champion.repository.local_s3 import LocalServer
from champion.repository.remote import default_remote
from support.github_api import Hub, serving
from support.project import REPOSITORY, Project
from support.webhook import Webhook

WORKFLOWS = sorted((REPOSITORY / ".github/workflows").glob("*.yml"))
STAND_INS = Path(__file__).parent / "actions"
PULL_ROLE = "arn:aws:iam::000000000000:role/pull"
PUSH_ROLE = "arn:aws:iam::000000000000:role/push"
DELIVERY_ROLE = "arn:aws:iam::000000000000:role/delivery"
REGION = "us-east-1"
HOSTILE = "x$(touch${IFS}PWNED)`touch${IFS}PWNED`;touch${IFS}PWNED;'\"|<b>@all&"
HOSTILE_METRIC = "x|`<img src=x onerror=alert(1)>`\n\n# @everyone [a](javascript:b)"


def yaml(path: Path) -> dict[str, Any]:
    return YAML(typ="safe").load(path.read_text(encoding="utf-8"))


def uses() -> list[str]:
    return re.findall(r"uses: (\S+)", "\n".join(path.read_text(encoding="utf-8") for path in WORKFLOWS))


def s3(server: LocalServer) -> Any:
    """A client of the server."""
    given = server.environment
    return botocore.session.get_session().create_client(
        "s3",
        region_name=REGION,
        endpoint_url=given["AWS_ENDPOINT_URL"],
        aws_access_key_id=given["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=given["AWS_SECRET_ACCESS_KEY"],
    )


def stored(server: LocalServer) -> set[str]:
    """The keys of all objects in the server's bucket."""
    pages = s3(server).get_paginator("list_objects_v2").paginate(Bucket=server.bucket)
    return {item["Key"] for page in pages for item in page.get("Contents", [])}


@dataclass(frozen=True)
class Run:
    """A workflow run: what it printed, whether it passed, and what it left."""

    number: int
    passed: bool
    log: str
    artifacts: Path
    roles: list[str]
    cache: Path
    sha: str = ""

    @property
    def built(self) -> list[str]:
        """The stages that were run before the whole pipeline was reproduced in a clone."""
        return re.findall(r"Running stage '(\w+)'", self.log.partition("Run Main Is the committed lock true")[0])

    @property
    def report(self) -> str:
        return (self.artifacts / "report/report.md").read_text(encoding="utf-8")

    def step_failed(self, name: str) -> bool:
        return f"❌  Failure - Main {name}" in self.log


@dataclass
class Runner:
    """Runs workflows in fresh clones of `origin`, each with artifacts and a cache of its own, and talks to `hub`."""

    folder: Path
    origin: Project
    hub: Hub
    server: LocalServer
    runs: list[Run] = field(default_factory=list)

    def pull_request(
        self, head: str, base: str, *, owner: str = "o", name: str = "topic", after: Run | None = None
    ) -> Run:
        """pipeline.yml on the merge of two of origin's branches, as GitHub checks it out, with what `after` cached.

        `name` is the pull request's title, its text and the name that its branch has at GitHub.
        """
        number = len(self.runs) + 1
        clone = Project(self.folder / f"clone{number}")
        self.origin.run("git", "clone", "--quiet", str(self.origin.folder), str(clone.folder))
        for key in ("user.name", "user.email"):
            clone.run("git", "config", key, "test@example.org")
        clone.run("git", "checkout", "--quiet", "--detach", f"origin/{base}")
        clone.run(
            "git",
            "merge",
            "--quiet",
            "--no-ff",
            "--allow-unrelated-histories",
            "-X",
            "theirs",
            "-m",
            "Merge",
            f"origin/{head}",
        )
        sha = clone.run("git", "rev-parse", f"origin/{head}").stdout.strip()
        event = {
            "action": "synchronize",
            "number": number,
            "pull_request": {
                "number": number,
                "title": name,
                "body": name,
                "head": {"ref": name, "sha": sha, "repo": {"full_name": f"{owner}/champion"}},
                "base": {"ref": base, "repo": {"full_name": self.hub.repository}},
            },
        }
        cache = after.cache if after else None
        run = self.act(clone.folder, "pipeline", "change", "pull_request", event, sha=sha, cache=cache)
        self.runs.append(run)
        return run

    def comment(self, run: Run, *, owner: str = "o", branch: str = HOSTILE, fork_gone: bool = False) -> Run:
        """comment.yml, as it is started when that run of pipeline.yml ends."""
        repository = {"full_name": f"{owner}/champion", "owner": {"login": owner}}
        workflow_run = {
            "id": run.number,
            "run_number": run.number,
            "event": "pull_request",
            "conclusion": "success" if run.passed else "failure",
            "head_sha": run.sha,
            "head_branch": branch,
            "head_repository": None if fork_gone else repository,
            "html_url": f"https://github.example/runs/{run.number}",
        }
        event = {"action": "completed", "workflow_run": workflow_run}
        return self.act(
            self.origin.folder, "comment", "comment", "workflow_run", event, artifacts=run.artifacts, number=run.number
        )

    def act(
        self,
        folder: Path,
        workflow: str,
        job: str | None,
        event_name: str,
        event: dict[str, Any],
        *options: str,
        sha: str = "",
        artifacts: Path | None = None,
        cache: Path | None = None,
        number: int | None = None,
    ) -> Run:
        number = number or len(self.runs) + 1
        cache = cache or self.folder / f"cache-{workflow}-{number}"
        home = self.folder / f"home-{workflow}-{number}"
        for path in (cache, home):
            path.mkdir(exist_ok=True)
        given = self.server.environment
        keys = [f"{key}={given[key]}\n" for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")]
        (self.folder / "credentials").write_text("".join(keys), encoding="utf-8")
        artifacts = artifacts or self.folder / f"artifacts{number}"
        roles = self.folder / f"roles-{workflow}-{number}.txt"
        full = {"repository": {"full_name": self.hub.repository, "default_branch": "main"}, **event}
        (self.folder / "event.json").write_text(json.dumps(full), encoding="utf-8")
        environment = {
            "AWS_EC2_METADATA_DISABLED": "true",
            "GITHUB_REPOSITORY": self.hub.repository,
            "GITHUB_API_URL": self.hub.url,
            "HOME": str(home),
            "OMP_NUM_THREADS": "1",
            "STAND_IN_ARTIFACTS": str(artifacts),
            "STAND_IN_CACHE": str(cache),
            "STAND_IN_CREDENTIALS": str(self.folder / "credentials"),
            "STAND_IN_ENVIRONMENT": sys.prefix,
            "STAND_IN_ROLES": str(roles),
            "STAND_IN_RUN": str(number),
        }
        command = [
            str(Path(sys.executable).with_name("act")), event_name,
            "--workflows", f".github/workflows/{workflow}.yml", *(["--job", job] if job else []),
            "--eventpath", str(self.folder / "event.json"),
            "--platform", "ubuntu-latest=-self-hosted", "--no-cache-server", "--secret", "GITHUB_TOKEN=ghs_test",
            "--var", f"AWS_PULL_ROLE={PULL_ROLE}", "--var", f"AWS_PUSH_ROLE={PUSH_ROLE}",
            "--var", f"AWS_DELIVERY_ROLE={DELIVERY_ROLE}", "--var", f"CHAMPION_STORE_URL=s3://{self.server.bucket}/models",
            "--var", f"AWS_REGION={REGION}", "--var", f"AWS_ENDPOINT_URL={given['AWS_ENDPOINT_URL']}",
            *(word for key, value in environment.items() for word in ("--env", f"{key}={value}")),
            *(word for name in set(uses()) if not name.startswith("actions/checkout@")
              for word in ("--local-repository", f"{name}={STAND_INS / name.partition('@')[0].rpartition('/')[2]}")),
            *options,
        ]  # fmt: skip
        outside = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "GITHUB_", "PYTHON"))}
        result = subprocess.run(
            command,
            cwd=folder,
            env=outside | {"XDG_CACHE_HOME": str(self.folder / "act")},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        taken = roles.read_text(encoding="utf-8").split() if roles.exists() else []
        log = result.stdout + result.stderr
        return Run(number, result.returncode == 0, log, artifacts, taken, cache, sha)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    with LocalServer(tmp_path_factory.mktemp("s3"), default_remote(REPOSITORY).bucket) as server:
        yield server


@pytest.fixture(scope="module")
def origin(sample_run: Project, server: LocalServer, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The repository at GitHub: branches that change the model in the ways a pull request can, and a filled remote."""
    folder = tmp_path_factory.mktemp("origin")
    project = sample_run.copy_to(folder / "champion")
    (folder / "home").mkdir()
    alone = {"HOME": str(folder / "home"), "AWS_EC2_METADATA_DISABLED": "true", "OMP_NUM_THREADS": "1"}

    def push(message: str) -> None:
        project.run("dvc", "repro", environment=alone)
        project.commit(message)
        project.run("dvc", "push", environment=alone | server.environment)

    def set_iterations(number: int) -> None:
        project.edit_params(lambda params: params["train"]["hist_gradient_boosting"].update(max_iter=number))

    def loosen(params: dict[str, Any]) -> None:
        params["gates"] = {"roc_auc": {"min": 0.6}, "brier_skill": {"min": 0.0}}
        params["compare"] = {"tolerances": {"roc_auc": 0.05, "brier_skill": 0.01}}
        params["challenge"] |= {"margin": 0.0, "min_rows": 100, "samples": 200}

    project.edit_params(loosen)
    push("A model that passes")

    project.run("git", "checkout", "--quiet", "-b", "worse")
    set_iterations(1)
    push("One tree")

    project.run("git", "checkout", "--quiet", "-b", "better")
    project.run("git", "checkout", "main", "--", ".")
    project.commit("Twenty trees again")

    project.run("git", "checkout", "--quiet", "-b", "unchanged", "main")
    (project.folder / "README.md").write_text("Changed.\n", encoding="utf-8")
    project.commit("Words only")

    project.run("git", "checkout", "--quiet", "-b", "weaker", "main")

    def weaken(params: dict[str, Any]) -> None:
        params["gates"] = {"roc_auc": {"min": 0.5}}
        params["train"]["hist_gradient_boosting"] |= {"max_iter": 1, "max_leaf_nodes": 2}

    project.edit_params(weaken)
    push("One split, and a gate that lets it pass")

    project.run("git", "checkout", "--quiet", "-b", "stale", "main")
    set_iterations(10)
    project.commit("Ten trees, and nobody ran them")

    project.run("git", "checkout", "--quiet", "-b", HOSTILE, "main")
    metrics = json.loads((project.folder / "metrics/evaluation.json").read_text(encoding="utf-8"))
    (project.folder / "metrics/evaluation.json").write_text(json.dumps(metrics | {HOSTILE_METRIC: 1}), encoding="utf-8")
    project.commit("A metric with a name")

    project.run("git", "checkout", "--quiet", "--orphan", "empty")
    project.run("git", "rm", "-rfq", ".")
    (project.folder / "LICENSE").write_text("MIT\n", encoding="utf-8")
    project.run("git", "add", "LICENSE")
    project.run("git", "commit", "--quiet", "--message", "Before there was a pipeline")

    project.run("git", "checkout", "--quiet", "--force", "main")
    return project


@pytest.fixture(scope="module")
def runner(origin: Project, server: LocalServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    with serving(Hub()) as hub:
        yield Runner(tmp_path_factory.mktemp("runs"), origin, hub, server)


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
    assert "a clone gave every output again, bit for bit" in unchanged.report
    assert (unchanged.artifacts / "report/report.html").stat().st_size > 10_000
    assert not (unchanged.artifacts / "regenerated-lock").exists()


def test_a_better_model_passes_and_is_called_better(runner: Runner) -> None:
    run = runner.pull_request("better", "worse")
    assert run.passed, run.log
    assert run.built == []
    assert run.report.startswith("## ✅ Model: gates pass; better than `origin/worse`\n")


@pytest.fixture(scope="module")
def worse(runner: Runner) -> Run:
    return runner.pull_request("worse", HOSTILE, name=HOSTILE)


def test_a_worse_model_fails_at_the_gate_and_says_by_how_much_it_fell(worse: Run) -> None:
    assert not worse.passed
    assert worse.step_failed("Do all gates pass?")
    assert worse.step_failed("Did a metric fall beyond its tolerance?")
    assert not worse.step_failed("Is the committed lock true, bit for bit?")
    title = worse.report.splitlines()[0]
    assert title.startswith("## ❌ Model: gate closed, a metric dropped beyond its tolerance; worse than ")
    assert "| `train.hist_gradient_boosting.max_iter` | `20` | `1` |" in worse.report


def test_a_stale_lock_names_its_stage_and_offers_the_lock_to_commit(runner: Runner) -> None:
    run = runner.pull_request("stale", "main")
    assert not run.passed
    assert run.built[0] == "train", "S3 had what the lock names"
    assert run.step_failed("Is the committed lock true, bit for bit?")
    assert "stage train: the parameter train is modified since dvc.lock was made" in run.log
    assert run.report.startswith("## ❌ Model: not reproducible; ")
    assert "stage train" in run.report
    lock = yaml(run.artifacts / "regenerated-lock/dvc.lock")
    assert lock["stages"]["train"]["params"]["params.yaml"]["train"]["hist_gradient_boosting"]["max_iter"] == 10
    assert (run.artifacts / "regenerated-lock/metrics/evaluation.json").is_file()


def test_a_first_pull_request_has_no_baseline_to_fall_from(runner: Runner) -> None:
    run = runner.pull_request("main", "empty")
    assert run.passed, run.log
    assert run.report.startswith("## ✅ Model: gates pass; first model: `origin/empty` has none\n")


def test_a_fork_has_no_credentials_and_rebuilds_from_the_source(fork: Run, unchanged: Run) -> None:
    assert fork.passed, fork.log
    assert fork.roles == []
    assert sorted(fork.built) == ["ingest", "prepare", "train", "validate"], "all but the evaluation, which git has"
    assert "AWS_ACCESS_KEY_ID" in unchanged.log
    assert "AWS_ACCESS_KEY_ID" not in fork.log
    assert fork.report.partition("<summary>Lineage")[0] == unchanged.report.partition("<summary>Lineage")[0]


@pytest.fixture(scope="module")
def second(runner: Runner, fork: Run) -> Run:
    return runner.pull_request("worse", "main", owner="stranger", after=fork)


def test_a_second_push_takes_from_the_cache_what_the_first_made(second: Run) -> None:
    assert second.built == ["train"]


def test_a_second_push_updates_the_one_comment(fork: Run, second: Run, runner: Runner) -> None:
    runner.hub.comments.clear()
    runner.hub.pulls[:] = []
    pull = runner.hub.open(7, head="stranger:topic", sha=fork.sha)
    first = runner.comment(fork, owner="stranger", branch="topic")
    assert first.passed, first.log
    assert "unchanged from" in runner.hub.comments[0]["body"]
    pull["head"]["sha"] = second.sha
    assert runner.comment(second, owner="stranger", branch="topic").passed
    [comment] = runner.hub.comments
    assert comment["issue"] == 7
    assert "❌ Model: gate closed" in comment["body"]
    assert "unchanged from" not in comment["body"]


def test_hostile_names_run_nothing_and_stay_text(worse: Run, runner: Runner) -> None:
    assert "PWNED" in worse.report, "the base branch is named, as text"
    assert "&#64;everyone" in worse.report, "so is the metric"
    runner.hub.comments.clear()
    runner.hub.pulls[:] = []
    runner.hub.open(9, head=f"o:{HOSTILE}", sha=worse.sha)
    assert runner.comment(worse, branch=HOSTILE).passed
    [comment] = runner.hub.comments
    assert comment["issue"] == 9
    assert "&#64;everyone" in comment["body"]
    assert not re.search(r"<(?!/?(details|summary|code)>)|@|\n# ", worse.report)
    assert not [path for path in runner.folder.rglob("PWNED*") if path.is_file()]


def test_a_run_that_left_no_report_says_so_in_the_comment(runner: Runner, tmp_path: Path) -> None:
    runner.hub.comments.clear()
    runner.hub.pulls[:] = []
    runner.hub.open(8, head=f"stranger:{HOSTILE}", sha="a" * 40)
    run = Run(9, passed=False, log="", artifacts=tmp_path / "none", roles=[], cache=tmp_path / "cache", sha="a" * 40)
    assert runner.comment(run, owner="stranger").passed
    [comment] = runner.hub.comments
    assert "no report" in comment["body"]
    assert "https://github.example/runs/9" in comment["body"]


def test_a_push_to_main_sends_what_s3_lacks(origin: Project, runner: Runner, server: LocalServer) -> None:
    outs = {out["path"]: out["md5"] for out in yaml(origin.folder / "dvc.lock")["stages"]["train"]["outs"]}
    model = outs["models/model.skops"]
    before = stored(server)
    [key] = [key for key in before if key.endswith(f"/{model[:2]}/{model[2:]}")]
    s3(server).delete_object(Bucket=server.bucket, Key=key)
    assert stored(server) == before - {key}
    run = runner.act(origin.folder, "pipeline", "store", "push", {"ref": "refs/heads/main", "after": "0" * 40})
    assert run.passed, run.log
    assert run.roles == [PUSH_ROLE]
    assert re.findall(r"Running stage '(\w+)'", run.log)[0] == "train", (
        "S3 had the data, and no model: it is made again"
    )
    assert stored(server) == before


def test_a_repository_without_an_endpoint_variable_uses_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    for path in WORKFLOWS:
        for job in yaml(path)["jobs"].values():
            for step in job["steps"]:
                endpoint = step.get("env", {}).get("AWS_ENDPOINT_URL")
                assert endpoint in (None, "${{ vars.AWS_ENDPOINT_URL }}")
                assert endpoint or step.get("run") not in ("make pull", "make push")
                assert endpoint is None or "uses" not in step, "a role is always of AWS"
    monkeypatch.setenv("AWS_ENDPOINT_URL", "")
    client = botocore.session.get_session().create_client("s3", region_name=REGION)
    assert client.meta.endpoint_url.endswith(".amazonaws.com")


def test_the_tests_workflow_runs_lint_and_tests(origin: Project, runner: Runner) -> None:
    clone = Project(runner.folder / "tests-clone")
    origin.run("git", "clone", "--quiet", str(origin.folder), str(clone.folder))
    for path in (clone.folder / "tests").rglob("test_*.py"):
        path.unlink()
    (clone.folder / "tests/unit").mkdir(exist_ok=True)
    (clone.folder / "tests/unit/test_one.py").write_text(
        '"""One test."""\n\nfrom champion.core import errors\n\n\ndef test_one() -> None:\n    assert errors\n',
        encoding="utf-8",
    )
    run = runner.act(clone.folder, "tests", "test", "push", {}, "--matrix", "python-version:3.11")
    assert run.passed, run.log
    assert "1 passed" in run.log
    assert "src/champion/core/errors.py" in run.log, "coverage is shown"


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
    """With a first version that went through to production."""
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


def test_a_production_smoke_test_that_fails_rolls_back_by_itself_and_a_deaf_webhook_stops_nothing(
    delivery: Delivery,
) -> None:
    trained = delivery.train("main")
    assert trained.passed, trained.log
    server, before = delivery.runner.server, stored(delivery.runner.server)

    def spoil(text: str) -> None:
        delivery.webhook.status = 500
        if text.startswith("promote v2 in production"):
            for key in stored(server) - before:
                if key.startswith("models/production/") and key.endswith("/model.skops"):
                    s3(server).put_object(Bucket=server.bucket, Key=key, Body=b"spoilt")

    delivery.webhook.on_text = spoil
    run = delivery.deploy("main")
    assert not run.passed
    assert run.step_failed("Does it answer as when it was registered? If not, roll back"), run.log
    assert not run.step_failed("Promote what passed in staging")
    assert delivery.serving("staging") == "v2"
    assert delivery.serving("production") == "v1"
    assert delivery.webhook.texts[-1] == "training success, staging success, production failure"


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_are_thin_and_closed(path: Path) -> None:
    workflow = yaml(path)
    assert workflow["permissions"] == {}
    assert "pull_request_target" not in workflow["on"]
    assert "concurrency" in workflow
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 60
        assert job["permissions"]
        for step in job["steps"]:
            assert "uses" in step or re.fullmatch(r"make [a-z-]+", step["run"])


def test_actions_are_pinned_by_commit_and_say_their_version() -> None:
    for path in WORKFLOWS:
        for line in path.read_text(encoding="utf-8").splitlines():
            if "uses:" in line:
                assert re.search(r"uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line), line
