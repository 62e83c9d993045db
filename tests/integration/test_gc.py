"""`champion gc` on a real cache and a real S3 server: what somebody may need stays, and all else goes."""

import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from champion.environments import load_environment
from champion.registry import history
from champion.registry.registry import Registry
from champion.repository.local_s3 import LocalServer
from champion.repository.worktree import make_worktree
from support.project import Project, built_once
from support.refusals import snapshot
from support.s3 import Bucket, key_of, running_server

BUCKET = "champion-dvc"
CHAMPION = str(Path(sys.executable).with_name("champion"))
GC = ("gc", "--older-than", "0", "--yes")
# The reference of git that names the files, by who has them.
REFERENCES = {
    "a branch": "refs/heads/kept",
    "a branch elsewhere": "refs/remotes/elsewhere/kept",
    "a tag": "refs/tags/kept",
    "nobody": None,
}
OTHERS = ("a stash", "a version", "another working tree", "this working tree")
# The command that removes, which ends as by `kill -9` before it removes its second file.
KILLED = """
import os, signal, sys
from champion.cli.main import app

def end(event, arguments, removed=[]):
    if event == "os.remove" and "/files/md5/" in str(arguments[0]):
        removed.append(arguments)
        if len(removed) == 2:
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(end)
app(sys.argv[1:])
"""


def add(project: Project, owner: str) -> str:
    """Let DVC keep a folder with two files for the owner; returns the folder's MD5."""
    folder = project.folder / "extra" / owner.replace(" ", "-")
    folder.mkdir(parents=True)
    for number in ("one", "two"):
        (folder / number).write_text(f"{number} of {owner}")
    project.run("dvc", "add", "--quiet", str(folder))
    listed = Path(f"{folder}.dvc").read_text()
    return listed.partition("md5: ")[2].split()[0]


def forget(project: Project) -> None:
    """Remove the files of all owners from the working tree."""
    shutil.rmtree(project.folder / "extra", ignore_errors=True)


def owners(hashes: set[str]) -> dict[str, int]:
    """How many of the owner's files are among the objects."""
    return {
        owner: sum(md5(f"{number} of {owner}") in hashes for number in ("one", "two"))
        for owner in (*REFERENCES, *OTHERS)
    }


def md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def cached(project: Project) -> set[str]:
    """The hashes of the objects in the cache."""
    cache = project.folder / ".dvc/cache/files/md5"
    return {path.parent.name + path.name for path in cache.rglob("*") if path.is_file()}


def files_of(project: Project) -> dict[str, str]:
    """Every file of the user, with its SHA-256."""
    inner = (".dvc/cache", ".dvc/tmp")
    return {path: digest for path, digest in snapshot(project).items() if not any(name in path for name in inner)}


KEPT = {owner: 2 * (owner != "nobody") for owner in (*REFERENCES, *OTHERS)}


@pytest.fixture(scope="session")
def owned(small_run: Project, shared: Path) -> Project:
    """A project with files of each owner, whose deployed version v1 is on no branch any more. Copy it."""
    folder = shared / "owned"

    def build() -> None:
        project = small_run.copy_to(folder)
        project.champion("register")
        project.champion("deploy", "v1")
        project.run("git", "rm", "--quiet", "dvc.lock")
        project.run("git", "commit", "--quiet", "--amend", "--message", "As if the pipeline never ran")
        for owner, reference in REFERENCES.items():
            project.run("git", "checkout", "--quiet", "--detach", "main")
            add(project, owner)
            project.commit(f"The files of {owner}")
            if reference is not None:
                project.run("git", "update-ref", reference, "HEAD")
            project.run("git", "checkout", "--quiet", "main")
            forget(project)
        register_again(project, {"extra": add(project, "a version")})
        forget(project)
        add(project, "a stash")
        project.run("git", "add", "extra")
        project.run("git", "stash", "--quiet")
        forget(project)
        add(project, "this working tree")

    built_once(shared / "owned.done", build)
    return Project(folder)


def register_again(project: Project, lineage: dict[str, str]) -> None:
    """Register v1's models as v2 with other outputs, which no commit has: only on disk, `as_of` was another."""
    registry = Registry.open(load_environment("development", project.folder))
    details = dict(registry.rows[0].details) | {"lineage": lineage}
    with registry.ledger.appending() as session:
        session.append("register", version="v2", model_sha256=registry.rows[0].model_sha256, details=details)


@pytest.fixture
def project(owned: Project, tmp_path: Path) -> Project:
    """A copy of it with a second working tree, like that of a retraining."""
    project = owned.copy_to(tmp_path / "project")
    make_worktree(project.folder, project.folder / "var/retraining/work", "main")
    add(Project(project.folder / "var/retraining/work"), "another working tree")
    return project


def test_what_somebody_may_need_stays_and_all_else_goes(project: Project) -> None:
    before, files = cached(project), files_of(project)
    version = history.versions(Registry.open(load_environment("development", project.folder)).rows)["v1"]
    told = project.champion(*GC).stdout
    assert owners(before) == KEPT | {"nobody": 2}
    assert owners(cached(project)) == KEPT
    assert len(before - cached(project)) == 3, "two files and their list"
    assert f"the cache: 3 of {len(before)} objects can go" in told
    assert files_of(project) == files
    project.run("git", "checkout", "--quiet", "--force", str(version.git_commit))
    shutil.rmtree(project.folder / "models")
    project.run("git", "checkout", "--quiet", "--", "models")
    project.run("dvc", "checkout", "--quiet")
    assert "Data and pipelines are up to date." in project.run("dvc", "status").stdout


def test_what_is_young_stays(project: Project) -> None:
    before = cached(project)
    told = project.champion("gc", "--yes").stdout
    assert f"the cache: 0 of {len(before)} objects can go (0 bytes)" in told
    assert cached(project) == before


def test_a_dry_run_lists_the_objects_and_removes_none(project: Project) -> None:
    before = cached(project)
    lines = project.champion(*GC, "--dry-run").stdout.splitlines()
    one = md5("one of nobody")
    assert f"{project.folder}/.dvc/cache/files/md5/{one[:2]}/{one[2:]}  {len('one of nobody')} bytes" in lines
    assert cached(project) == before


@pytest.mark.sweep
@pytest.mark.parametrize(("answer", "kept"), [("y\n", 0), ("n\n", 2), ("", 2)])
def test_nothing_goes_without_a_yes(answer: str, kept: int, project: Project) -> None:
    asked = subprocess.run(
        [CHAMPION, "gc", "--older-than", "0"], cwd=project.folder, input=answer, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert asked.returncode == (kept != 0)
    assert "Remove them? [y/N]: " in asked.stdout
    assert owners(cached(project))["nobody"] == kept


def test_a_gc_that_was_killed_is_finished_by_the_next(project: Project) -> None:
    before, files = cached(project), files_of(project)
    references = project.run("git", "for-each-ref").stdout
    killed = project.run("python", "-c", KILLED, *GC, check=False)
    assert killed.returncode == -9
    [gone] = before - cached(project)
    assert gone.endswith(".dir"), "a list goes before its files"
    project.champion(*GC)
    assert owners(cached(project)) == KEPT
    assert len(before - cached(project)) == 3
    assert files_of(project) == files
    assert project.run("git", "for-each-ref").stdout == references


def refusal(project: Project, *options: str, environment: dict[str, str] | None = None) -> str:
    """The sentence with which it refuses, with every file as it was."""
    before, references = (cached(project), files_of(project)), project.run("git", "for-each-ref").stdout
    refused = project.champion(*GC, *options, check=False, environment=environment)
    assert refused.returncode == 1
    assert (cached(project), files_of(project)) == before
    assert project.run("git", "for-each-ref").stdout == references
    assert refused.stderr.startswith("error: ")
    assert refused.stderr.count("\n") == 1
    return refused.stderr


@pytest.mark.sweep
def test_a_ledger_that_cannot_be_read_stops_it(project: Project) -> None:
    (project.folder / "var/development/champion.db").write_bytes(b"not a database")
    assert "the database of development cannot be used" in refusal(project)


@pytest.mark.sweep
def test_a_version_whose_commit_the_clone_lacks_stops_it(project: Project, tmp_path: Path) -> None:
    project.run("git", "clone", "--quiet", "--depth", "1", f"file://{project.folder}", str(tmp_path / "clone"))
    clone = Project(tmp_path / "clone")
    shutil.copytree(project.folder / "var/development", clone.folder / "var/development")
    assert "v1 of development comes from the commit" in refusal(clone)


@pytest.mark.sweep
def test_a_branch_that_dvc_cannot_read_stops_it(project: Project) -> None:
    project.run("git", "checkout", "--quiet", "-b", "torn")
    (project.folder / "dvc.yaml").write_text("stages: [")
    project.commit("Tear it")
    project.run("git", "checkout", "--quiet", "main")
    assert "DVC cannot read torn, so what it needs is unknown" in refusal(project)


@pytest.mark.sweep
def test_a_cache_that_other_repositories_may_use_stops_it(project: Project, tmp_path: Path) -> None:
    project.run("dvc", "config", "--local", "cache.dir", str(tmp_path / "elsewhere"))
    assert f"the cache {tmp_path}/elsewhere/files/md5 is outside of this repository" in refusal(project)


def lose(project: Project, owner: str) -> str:
    """Remove the owner's list of files from the cache; returns its MD5."""
    [listing] = [name for name in cached(project) if name.endswith(".dir") and lists(project, name, owner)]
    (project.folder / ".dvc/cache/files/md5" / listing[:2] / listing[2:]).unlink()
    return listing


def lists(project: Project, name: str, owner: str) -> bool:
    return md5(f"one of {owner}") in (project.folder / ".dvc/cache/files/md5" / name[:2] / name[2:]).read_text()


@pytest.mark.sweep
def test_a_lost_list_of_files_that_are_in_use_stops_it(project: Project) -> None:
    lose(project, "this working tree")
    told = refusal(project)
    assert f"extra/this-working-tree in {project.folder}: the list of its files is not in the cache" in told


def wait_for(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("where", [".", "var/retraining/work"])
def test_a_stage_that_runs_stops_it_until_it_is_gone(where: str, project: Project) -> None:
    folder = project.folder / where
    (folder / "slow").mkdir()
    (folder / "slow/dvc.yaml").write_text("stages:\n  slow:\n    cmd: touch started && sleep 100\n    outs: [made]\n")
    command = [str(Path(sys.executable).with_name("dvc")), "repro", "slow/dvc.yaml"]
    with subprocess.Popen(command, cwd=folder, start_new_session=True, stdout=subprocess.DEVNULL) as running:
        wait_for((folder / "slow/started").exists)
        try:
            assert f"DVC is at work in {folder.resolve()}, perhaps `dvc repro`" in refusal(project)
        finally:
            os.killpg(running.pid, 9)
    shutil.rmtree(folder / "slow")
    project.champion(*GC)
    assert owners(cached(project)) == KEPT


def test_one_that_waits_for_an_answer_stops_nobody(project: Project) -> None:
    command = [CHAMPION, "gc", "--older-than", "0"]
    with subprocess.Popen(command, cwd=project.folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as asking:
        assert asking.stdout is not None
        while b"can go" not in asking.stdout.readline():
            assert asking.poll() is None
        add(project, "an afterthought")
        told, _ = asking.communicate(b"y\n")
    assert told.endswith(b"removed\n")
    assert owners(cached(project)) == KEPT
    assert md5("one of an afterthought") in cached(project)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    with running_server(tmp_path_factory.mktemp("s3"), BUCKET) as running:
        yield running


@pytest.fixture
def settings(server: LocalServer, tmp_path: Path) -> dict[str, str]:
    """What S3, staging and production need."""
    return server.environment | {
        "CHAMPION_DATABASE_URL": f"sqlite:///{tmp_path}/ledger.db",
        "CHAMPION_STORE_URL": str(tmp_path / "stores"),
        "AWS_EC2_METADATA_DISABLED": "true",
        "HOME": str(tmp_path),
    }


@pytest.fixture
def filled(project: Project, server: LocalServer) -> Bucket:
    """The remote, with every object of the cache."""
    bucket = Bucket(server)
    for digest in cached(project):
        bucket.write(key_of(digest), (project.folder / ".dvc/cache/files/md5" / digest[:2] / digest[2:]).read_bytes())
    return bucket


def sent(bucket: Bucket) -> set[str]:
    return {"".join(key.split("/")[-2:]) for key in bucket.keys()}  # noqa: SIM118


def test_the_remote_keeps_what_somebody_may_need_also_what_the_cache_lost(
    project: Project, filled: Bucket, settings: dict[str, str]
) -> None:
    before = sent(filled)
    shutil.rmtree(project.folder / ".dvc/cache/files/md5")
    shutil.rmtree(project.folder / "extra/this-working-tree")
    told = project.champion(*GC, "--cloud", environment=settings)
    assert f"s3://{BUCKET}/store: 3 of {len(before)} objects can go" in told.stdout
    assert owners(sent(filled)) == KEPT
    assert len(before - sent(filled)) == 3
    assert "warning" not in told.stderr


@pytest.mark.sweep
def test_a_folder_whose_list_is_lost_everywhere_is_told(
    project: Project, filled: Bucket, settings: dict[str, str]
) -> None:
    filled.delete(key_of(lose(project, "a tag")))
    told = project.champion(*GC, "--cloud", environment=settings)
    assert told.stderr == "warning: files in extra/a-tag of tags/kept may go: no list of them was found\n"
    assert owners(sent(filled)) == KEPT | {"a tag": 0}


@pytest.mark.sweep
def test_what_the_remote_lost_can_be_pushed_again(project: Project, filled: Bucket, settings: dict[str, str]) -> None:
    add(project, "nobody")
    project.run("dvc", "push", environment=settings)
    forget(project)
    project.champion(*GC, "--cloud", environment=settings)
    assert owners(sent(filled))["nobody"] == 0
    # DVC does not look for a single file that it noted as part of a folder in the remote.
    (project.folder / "single").write_text("one of nobody")
    project.run("dvc", "add", "--quiet", "single")
    project.run("dvc", "push", "single.dvc", environment=settings)
    assert owners(sent(filled))["nobody"] == 1


@pytest.mark.sweep
def test_a_branch_that_only_origin_has_stops_it(
    project: Project, filled: Bucket, settings: dict[str, str], tmp_path: Path
) -> None:
    origin = project.copy_to(tmp_path / "origin")
    project.run("git", "remote", "add", "origin", str(origin.folder))
    origin.run("git", "checkout", "--quiet", "-b", "new")
    origin.commit("Something new")
    told = refusal(project, "--cloud", environment=settings)
    assert "origin has refs/heads/new at" in told
    assert "Run `git fetch --tags origin`, then run this again." in told
    project.run("git", "fetch", "--quiet", "--tags", "origin")
    project.champion(*GC, "--cloud", environment=settings)
    assert owners(sent(filled)) == KEPT


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"CHAMPION_DATABASE_URL": ""}, "the environment variable CHAMPION_DATABASE_URL is not set"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, "nothing answers at http://127.0.0.1:1"),
    ],
)
def test_a_ledger_or_remote_that_cannot_be_asked_stops_it(
    change: dict[str, str], sentence: str, project: Project, filled: Bucket, settings: dict[str, str]
) -> None:
    before = sent(filled)
    assert sentence in refusal(project, "--cloud", environment=settings | change)
    assert sent(filled) == before
