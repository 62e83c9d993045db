"""Small projects for deliveries, with stores and databases."""

import hashlib
import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from champion.environments import Environment, load_environment
from champion.registry import history
from champion.registry.registry import Registry


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
        shutil.copytree(self.results / name, self.root, dirs_exist_ok=True)

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
        registry.files.write(f"{sha256}/examples.json", registry.read_file(first, "examples.json"))
        details = dict(registry.rows[0].details) | {"files": {**first.files, "model.skops": sha256}}
        name = f"v{len(history.versions(registry.rows)) + 1}"
        with registry.ledger.appending() as session:
            session.append("register", version=name, model_sha256=sha256, details=details)
        return name

    def edit_thresholds(self, text: str) -> None:
        """Let every environment's smoke test allow what the text says beside how far answers may differ."""
        path = self.root / "config/environments.yaml"
        path.write_text(path.read_text().replace("row_latency_ms: 100", text))


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results by name: `weak` was trained on few rows, `strong` on many, `same` is no better than `strong`."""
    # It imports scikit-learn, which most tests need not wait for.
    from support.results import make_results

    folder = tmp_path_factory.mktemp("results")
    make_results(folder)
    return folder


@pytest.fixture
def delivery_project(tmp_path: Path, results: Path, monkeypatch: pytest.MonkeyPatch) -> DeliveryProject:
    """A project with nothing registered, whose staging and production are folders and a SQLite ledger."""
    root = tmp_path / "delivery_project"
    monkeypatch.setenv("CHAMPION_DATABASE_URL", f"sqlite:///{tmp_path}/ledger.db")
    monkeypatch.setenv("CHAMPION_STORE_URL", str(tmp_path / "stores"))
    monkeypatch.setenv("ENVIRONMENT", "production")
    # The mark of a repository of DVC: a command looks for it from where it runs.
    (root / ".dvc").mkdir(parents=True)
    git(root, "init", "--quiet", "--initial-branch=main")
    for key in ("user.name", "user.email"):
        git(root, "config", key, "test@example.org")
    made = DeliveryProject(root, results)
    made.use_result("weak")
    return made


@pytest.fixture
def on_each_database(
    delivery_project: DeliveryProject, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> DeliveryProject:
    """The same on SQLite, then on PostgreSQL."""
    monkeypatch.setenv("CHAMPION_DATABASE_URL", database_url)
    return delivery_project
