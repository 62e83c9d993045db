"""Fixtures for all tests: the pipeline run on a sample and on the whole real file."""

import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

pytest.register_assert_rewrite("support")

from champion.repository.revision import working_tree  # noqa: E402
from support import warm  # noqa: E402
from support.project import EXAMPLE, REPOSITORY, Project, built_once, copy_working_tree, use_loan_sample  # noqa: E402

# The workers share the cores, so a program uses one thread. If a test asks for more, waiting threads use no CPU.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
# Else each worker and each program that a test starts would compile all modules again. Git ignores what is written.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# Imports make millions of objects that stay. To look for garbage among them took a fifth of the time of the imports.
gc.set_threshold(100_000, 50, 50)
settings.register_profile("champion", derandomize=True, deadline=None, database=None, max_examples=30)
# Of `make test-all`.
settings.register_profile("thorough", derandomize=True, deadline=None, database=None, max_examples=300)
settings.load_profile("champion")
pytest_plugins = [
    "support.browser",
    "support.cases_database",
    "support.continuous",
    "support.delivery",
    "support.postgresql",
]

# A worker runs whole files. The longest files start first, so that no worker has to run one alone at the end.
LONGEST = (
    "test_pull_request_workflows",
    "test_contract_on_real_data",
    "test_retrain_faults",
    "test_s3",
    "test_experiments",
    "test_gc",
    "test_faults",
    "test_delivery_workflows",
    "test_retrain",
    "test_airflow",
    "test_demo",
    "test_replay",
    "test_routing",
    "test_prediction_log",
    "test_pipeline",
    "test_main_workflows",
    "test_reproducibility",
    "test_challenge",
    "test_contract_on_broken_data",
    "test_mlflow_registry",
    "test_follow",
    "test_ends",
    "test_delivery",
)


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all test workers share."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def sample_run(shared: Path) -> Project:
    """The whole pipeline run on the loan sample, once for all workers: copy it (`copy_to`) before changing anything."""
    folder = shared / "sample"

    def build() -> None:
        project = copy_working_tree(folder)
        use_loan_sample(project)
        project.repro()
        project.commit("Run on a sample")
        project.pack()

    built_once(shared / "sample.done", build)
    return Project(folder)


@pytest.fixture(scope="session")
def real_run(shared: Path) -> Project:
    """The whole pipeline on the whole loan file, run with --force in a copy of the working tree. Read only."""
    folder = shared / "real"

    def build() -> None:
        copy_working_tree(folder).run("dvc", "repro", "--force")

    built_once(shared / "real.done", build)
    return Project(folder)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A fresh copy of the working tree, without data."""
    return copy_working_tree(tmp_path / "project")


@pytest.fixture(scope="session", autouse=True)
def _null_device_stays() -> Iterator[None]:
    """Tests that run as root could replace this device, and then nothing on the machine works as before."""
    before = os.lstat(os.devnull)
    yield
    after = os.lstat(os.devnull)
    assert (after.st_mode, after.st_rdev) == (before.st_mode, before.st_rdev), f"a test changed {os.devnull}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the tests of the longest files first. In a team's repository, leave out what compares with the example."""
    if working_tree(REPOSITORY).outcome != working_tree(EXAMPLE).outcome:
        of_example = [item for item in items if item.get_closest_marker("example")]
        config.hook.pytest_deselected(items=of_example)
        items[:] = [item for item in items if not item.get_closest_marker("example")]
    items.sort(key=lambda item: LONGEST.index(item.path.stem) if item.path.stem in LONGEST else len(LONGEST))


def pytest_unconfigure() -> None:
    """The end of a worker."""
    warm.stop()
