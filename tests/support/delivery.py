"""Small projects for deliveries, with stores and databases, as they are after some commands."""

import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest

from champion.delivery import deployment, proof
from champion.delivery.challenge import challenge
from champion.delivery.register import register
from champion.environments import Environment, load_environment
from champion.registry import history
from champion.registry.chain import canonical
from champion.registry.ledger_table import Table
from champion.registry.registry import Registry
from support.project import built_once


def git(root: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=root, check=True)


@dataclass(frozen=True)
class DeliveryProject:
    """A project folder, and the environment that delivers from it."""

    root: Path
    results: Path

    def use_result(self, name: str) -> None:
        """Let the project's files be those of one result of the pipeline, committed."""
        self.copy_result(name)
        self.commit()

    def copy_result(self, name: str) -> None:
        """The same, uncommitted."""
        # With an old time of change, git would overlook a file of the same size that was copied in the same second.
        shutil.copytree(self.results / name, self.root, dirs_exist_ok=True, copy_function=shutil.copy)

    def commit(self) -> None:
        """Commit every file, with a dvc.lock that vouches for it."""
        from support.results import write_lock

        write_lock(self.root)
        git(self.root, "add", "--all")
        git(self.root, "commit", "--quiet", "--allow-empty", "--message", "A result")

    def environment(self, name: str) -> Environment:
        return load_environment(name, self.root)

    @property
    def staging(self) -> Registry:
        """Staging, opened anew as each command opens it."""
        return Registry.open(self.environment("staging"))

    @property
    def production(self) -> Registry:
        """Production, opened anew as each command opens it."""
        return Registry.open(self.environment("production"))

    def bring_to_staging(self, result: str) -> None:
        """Register a result of the pipeline, make it champion, deploy it to staging and test it."""
        self.use_result(result)
        version, _ = register(self.staging)
        assert challenge(self.staging).won
        deployment.deploy(self.staging, version.name)
        assert proof.smoke_test(self.staging)[1].passed

    def edit_params(self, section: str, **changes: Any) -> None:
        """Change a section of params.yaml, and commit."""
        self.write_params(section, **changes)
        self.commit()

    def write_params(self, section: str, **changes: Any) -> None:
        params = json.loads((self.root / "params.yaml").read_text())
        params[section] |= changes
        (self.root / "params.yaml").write_text(json.dumps(params))

    def register_by_force(self, content: bytes) -> str:
        """Register any bytes as the next version, as nobody can by the command, beside what v1 was registered with."""
        registry = self.staging
        first = history.versions(registry.rows)["v1"]
        sha256 = hashlib.sha256(content).hexdigest()
        registry.files.write(f"{sha256}/model.skops", content)
        details = dict(registry.rows[0].details) | {"files": {**first.files, "model.skops": sha256}}
        name = f"v{len(history.versions(registry.rows)) + 1}"
        with registry.ledger.appending() as session:
            session.append("register", version=name, model_sha256=sha256, details=details)
        return name

    def edit_thresholds(self, text: str) -> None:
        """Let every environment's smoke test allow what the text says beside how far answers may differ."""
        path = self.root / "config/environments.yaml"
        path.write_text(path.read_text().replace("row_latency_ms: 100", text))


def create(project: DeliveryProject) -> None:
    # The mark of a repository of DVC: a command looks for it from where it runs.
    (project.root / ".dvc").mkdir(parents=True)
    git(project.root, "init", "--quiet", "--initial-branch=main")
    for key in ("user.name", "user.email"):
        git(project.root, "config", key, "test@example.org")
    project.use_result("weak")


def deploy_both(project: DeliveryProject) -> None:
    for result in ("weak", "strong"):
        project.use_result(result)
        register(project.staging)
        deployment.deploy(project.staging, "challenger")


def register_three(project: DeliveryProject) -> None:
    for result in ("weak", "strong", "same"):
        project.use_result(result)
        register(project.staging)
    deployment.deploy(project.staging, "v1")


# By name: the state from which it starts, and what is done then.
STATES: dict[str, tuple[str | None, Callable[[DeliveryProject], object]]] = {
    "new": (None, create),
    "both deployed": ("new", deploy_both),
    "both deployed, tested": ("both deployed", lambda project: proof.smoke_test(project.staging)),
    "three registered, the first deployed": ("new", register_three),
    "staged": ("new", lambda project: project.bring_to_staging("weak")),
    "promoted": ("staged", lambda project: deployment.promote(project.production)),
    "promoted, staged": ("promoted", lambda project: project.bring_to_staging("strong")),
    "promoted twice": ("promoted, staged", lambda project: deployment.promote(project.production)),
}

InState = Callable[[str], DeliveryProject]


@pytest.fixture(scope="session")
def results(shared: Path) -> Path:
    """Results by name: `weak` was trained on few rows, `strong` on many, `same` is no better than `strong`."""
    # It imports scikit-learn, which most tests need not wait for.
    from support.results import make_results

    folder = shared / "results"
    built_once(shared / "results.done", lambda: make_results(folder))
    return folder


def project_in_state(
    state: str, folder: Path, results: Path, shared: Path, patch: pytest.MonkeyPatch
) -> DeliveryProject:
    """A project in this folder whose staging and production are folders and a SQLite ledger, in one of `STATES`.

    The state is made once for all workers, and then copied.
    """
    kept, (start, step) = shared / "states" / state, STATES[state]

    def project_in(folder: Path, patch: pytest.MonkeyPatch) -> DeliveryProject:
        patch.setenv("CHAMPION_DATABASE_URL", f"sqlite:///{folder}/ledger.db")
        patch.setenv("CHAMPION_STORE_URL", str(folder / "stores"))
        patch.setenv("CHAMPION_PREDICTIONS_URL", f"sqlite:///{folder}/predictions.db")
        patch.setenv("CHAMPION_USERS_KEY", "tests")
        patch.setenv("ENVIRONMENT", "production")
        return DeliveryProject(folder / "delivery_project", results)

    def build() -> None:
        with pytest.MonkeyPatch.context() as own:
            step(project_in_state(start, kept, results, shared, own) if start else project_in(kept, own))

    (shared / "states").mkdir(exist_ok=True)
    built_once(shared / "states" / f"{state}.done", build)
    shutil.copytree(kept, folder, dirs_exist_ok=True)
    return project_in(folder, patch)


def move_ledger(project: DeliveryProject, url: str) -> None:
    """Copy the rows of the project's ledger to a new database."""
    import sqlalchemy as sa

    table = Table()
    rows = [asdict(row) | {"details": canonical(row.details)} for row in project.staging.rows]
    with sa.create_engine(url, poolclass=sa.NullPool).begin() as connection:
        table.prepare(connection)
        connection.execute(table.definition.insert(), rows)


@pytest.fixture
def in_state(tmp_path: Path, results: Path, shared: Path, monkeypatch: pytest.MonkeyPatch) -> InState:
    """The project of one test, in one of `STATES`."""
    return lambda state: project_in_state(state, tmp_path, results, shared, monkeypatch)


@pytest.fixture
def delivery_project(in_state: InState) -> DeliveryProject:
    """A project with nothing registered."""
    return in_state("new")


@pytest.fixture
def on_each_database(
    delivery_project: DeliveryProject, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> DeliveryProject:
    """The same on SQLite, then on PostgreSQL."""
    monkeypatch.setenv("CHAMPION_DATABASE_URL", database_url)
    return delivery_project
