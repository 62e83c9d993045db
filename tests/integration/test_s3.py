"""The DVC remote on a real S3 server: a new machine, wrong settings, broken connections, and damaged objects."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from champion.repository import s3_check
from champion.repository.local_s3 import LocalServer
from champion.repository.remote import default_remote
from support.project import Project
from support.refusals import snapshot
from support.s3 import Bucket, key_of, running_server

BUCKET = "champion-dvc"
BIG_FILES = 4
BIG_FILE_MB = 25


def hashes(project: Project) -> dict[str, str]:
    """The hashes in dvc.lock, by path."""
    lock = YAML(typ="safe").load(project.folder / "dvc.lock")
    return {out["path"]: out["md5"] for stage in lock["stages"].values() for out in stage["outs"]}


def last_line(result: subprocess.CompletedProcess[str]) -> str:
    return result.stderr.strip().splitlines()[-1]


@pytest.fixture(autouse=True, scope="module")
def no_account_of_this_machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test can reach a real account: AWS has only the settings of the test."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        yield


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    with running_server(tmp_path_factory.mktemp("s3"), BUCKET) as running:
        yield running


@pytest.fixture(scope="module")
def filled(server: LocalServer, small_run: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The small table's run, pushed with plain `dvc push`."""
    project = small_run.copy_to(tmp_path_factory.mktemp("filled") / "champion")
    project.run("dvc", "push", environment=server.environment)
    return project


@pytest.fixture
def clone(filled: Project, tmp_path: Path) -> Project:
    """A new machine: a clone, with no data and no cache."""
    folder = tmp_path / "clone"
    filled.run("git", "clone", "--quiet", str(filled.folder), str(folder))
    # git does not have the table.
    shutil.copy2(filled.folder / "data/source/cases.csv", folder / "data/source/cases.csv")
    project = Project(folder)
    for key in ("user.name", "user.email"):
        project.run("git", "config", key, "test@example.org")
    return project


def test_a_new_machine_pulls_and_has_nothing_left_to_compute(clone: Project, server: LocalServer) -> None:
    clone.run("dvc", "pull", environment=server.environment)
    result = clone.repro()
    assert clone.ran(result.stdout) == []
    assert "Data and pipelines are up to date." in result.stdout
    status = clone.run("dvc", "status", "-c", environment=server.environment)
    assert "Cache and remote 'store' are in sync." in status.stdout
    clone.champion("reproduce", "--fast")


def test_champion_pull_is_dvc_pull_when_nothing_is_wrong(clone: Project, server: LocalServer) -> None:
    clone.champion("pull", environment=server.environment)
    assert clone.run("dvc", "status", "--quiet", environment=server.environment).returncode == 0


NO_CREDENTIALS = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}


@pytest.mark.parametrize("command", ["pull", "push"])
@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, "refuses the AWS credentials as wrong"),
        ({"AWS_ACCESS_KEY_ID": "NOBODY"}, "refuses the AWS credentials as wrong"),
        (NO_CREDENTIALS, "no AWS credentials were found. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, "nothing answers at http://127.0.0.1:1. Start the server"),
        ({"AWS_ENDPOINT_URL": "not a url"}, "the S3 settings are not usable"),
    ],
    ids=["secret", "key", "none", "down", "url"],
)
def test_wrong_settings_are_one_sentence_and_change_nothing(
    command: str, change: dict[str, str], sentence: str, clone: Project, filled: Project, server: LocalServer
) -> None:
    project = clone if command == "pull" else filled
    before = snapshot(project)
    result = project.champion(command, environment=server.environment | change, check=False)
    assert result.returncode == 1
    assert result.stderr.startswith("error: the remote s3://champion-dvc/store cannot be used: ")
    assert sentence in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert server.environment["AWS_SECRET_ACCESS_KEY"] not in result.stderr
    assert snapshot(project) == before


@pytest.mark.parametrize("command", ["pull", "push"])
def test_a_missing_bucket_is_named_with_where_it_was_looked_for(
    command: str, clone: Project, filled: Project, server: LocalServer
) -> None:
    project = clone if command == "pull" else filled.copy_to(clone.folder.parent / "filled")
    project.run("dvc", "remote", "modify", "--local", "store", "url", "s3://nobodys/store")
    result = project.champion(command, environment=server.environment, check=False)
    assert result.returncode == 1
    assert "has no bucket named nobodys. Create it, or correct the remote in .dvc/config." in result.stderr


def test_a_server_that_takes_connections_and_never_answers_is_given_up(
    clone: Project, server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_check, "SECONDS_TO_ANSWER", 1)
    assert server.process is not None
    os.kill(server.process.pid, signal.SIGSTOP)
    try:
        result = clone.champion("pull", environment=server.environment, check=False)
    finally:
        os.kill(server.process.pid, signal.SIGCONT)
    assert result.returncode == 1
    assert f"nothing answers at {server.environment['AWS_ENDPOINT_URL']}" in result.stderr


def flip(content: bytes) -> bytes:
    return bytes([content[0] ^ 1]) + content[1:]


def spoil(bucket: Bucket, key: str) -> None:
    bucket.write(key, flip(bucket.read(key)))


def spoil_in_parts(bucket: Bucket, key: str) -> None:
    bucket.write_in_parts(key, flip(bucket.read(key)))


def stages_behind(paths: Iterable[str]) -> list[str]:
    made = {"prepare" if path.startswith("data/prepared") else "package" for path in paths}
    return [stage for stage in ("prepare", "package") if stage in made]


@pytest.mark.sweep
@pytest.mark.parametrize(
    "damages",
    [
        {
            "models/model.skops": spoil,
            "data/prepared/at_split/labelled.parquet": spoil,
            "data/prepared/test.parquet": Bucket.delete,
        },
        {"models/model.skops": spoil_in_parts, "data/prepared/at_split": spoil_in_parts},
        {"data/prepared/at_split": Bucket.delete},
    ],
)
def test_damaged_objects_are_named_rebuilt_and_repaired(
    damages: dict[str, Callable[[Bucket, str], None]], clone: Project, filled: Project, server: LocalServer
) -> None:
    bucket, digests = Bucket(server), hashes(filled)
    for entry in json.loads(bucket.read(key_of(digests["data/prepared/at_split"]))):
        digests[f"data/prepared/at_split/{entry['relpath']}"] = entry["md5"]
    keys = {path: key_of(digests[path]) for path in damages}
    contents = {path: bucket.read(key) for path, key in keys.items()}
    for path, damage in damages.items():
        damage(bucket, keys[path])
    try:
        result = clone.champion("pull", environment=server.environment, check=False)
        assert result.returncode == 1
        for path, damage in damages.items():
            how = "missing" if damage is Bucket.delete else "corrupt"
            [told] = [line for line in result.stderr.splitlines() if keys[path].rpartition("/")[2] in line]
            assert told.strip().startswith(path)
            assert told.endswith(f" is {how}")
            assert not (clone.folder / path).exists()
        assert (clone.folder / "data/raw.parquet").is_file(), "what is whole was pulled"

        warned = clone.champion("pull", "--allow-missing", environment=server.environment)
        assert "warning: s3://champion-dvc/store does not have all" in warned.stderr
        assert all(keys[path].rpartition("/")[2] in warned.stderr for path in damages)
        rebuilt = clone.repro()
        assert clone.ran(rebuilt.stdout) == stages_behind(damages)
        assert not clone.run("git", "status", "--porcelain").stdout, "it is the committed result again"

        verify = ["--verify"] if spoil_in_parts in damages.values() else []
        clone.champion("push", *verify, environment=server.environment)
        assert {path: bucket.read(key) for path, key in keys.items()} == contents
    finally:
        for path, key in keys.items():
            bucket.write(key, contents[path])


def test_a_push_refuses_a_lock_that_nobody_can_ask_for(filled: Project, server: LocalServer, tmp_path: Path) -> None:
    project = filled.copy_to(tmp_path / "project")
    with (project.folder / "dvc.lock").open("a", encoding="utf-8") as lock:
        lock.write("\n")
    result = project.champion("push", environment=server.environment, check=False)
    assert result.returncode == 1
    assert last_line(result).startswith("error: dvc.lock or metrics/ has uncommitted changes")


@pytest.fixture
def big(tmp_path: Path) -> Project:
    """A project with files that are big enough to be interrupted during a transfer."""
    project = Project(tmp_path / "big")
    project.folder.mkdir()
    project.run("git", "init", "--quiet", "--initial-branch=main")
    for key in ("user.name", "user.email"):
        project.run("git", "config", key, "test@example.org")
    project.run("dvc", "init", "--quiet")
    project.run("dvc", "remote", "add", "--default", "store", "s3://champion-dvc/store")
    for option in ("region=us-east-1", "verify=true"):
        project.run("dvc", "remote", "modify", "store", *option.split("="))
    for number in range(BIG_FILES):
        (project.folder / f"big{number}").write_bytes(os.urandom(BIG_FILE_MB << 20))
    project.run("dvc", "add", "--quiet", *(f"big{number}" for number in range(BIG_FILES)))
    project.commit("Big files")
    return project


def folder_size(folder: Path) -> int:
    size = 0
    for path in folder.rglob("*"):
        try:
            size += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:
            continue
    return size


def start(project: Project, command: str, server: LocalServer, log: Path) -> subprocess.Popen[bytes]:
    # Fewer retries, because the test is about the state after it gives up.
    environment = os.environ | server.environment | {"AWS_MAX_ATTEMPTS": "1"}
    program = str(Path(sys.executable).with_name("champion"))
    with log.open("wb") as output:
        return subprocess.Popen([program, command], cwd=project.folder, env=environment, stderr=output, stdout=output)


def kill_server_when(server: LocalServer, process: subprocess.Popen[bytes], reached: Callable[[], bool]) -> None:
    assert server.process is not None
    deadline = time.monotonic() + 60
    while not reached():
        assert process.poll() is None, "it was over before it could be cut off"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    server.process.kill()
    server.process.wait()


@pytest.mark.sweep
@pytest.mark.parametrize("command", ["push", "pull"])
def test_a_server_killed_in_the_middle_loses_nothing(command: str, big: Project, tmp_path: Path) -> None:
    contents = {path.name: hashlib.sha256(path.read_bytes()).digest() for path in big.folder.glob("big?")}
    first = LocalServer(tmp_path / "s3", BUCKET)
    log = tmp_path / "log"
    project = big
    with first:
        if command == "pull":
            big.run("dvc", "push", environment=first.environment)
            project = Project(tmp_path / "clone")
            big.run("git", "clone", "--quiet", str(big.folder), str(project.folder))
        watched = tmp_path / "s3" / "data" if command == "push" else project.folder / ".dvc/cache"
        before = folder_size(watched)
        process = start(project, command, first, log)
        kill_server_when(first, process, lambda: folder_size(watched) - before > BIG_FILE_MB << 19)
        assert process.wait(120) == 1
    told = log.read_text(encoding="utf-8").strip().splitlines()[-1]
    assert told.startswith("error: the remote s3://champion-dvc/store cannot be used: nothing answers at"), told
    assert "Traceback" not in log.read_text(encoding="utf-8")
    for path in project.folder.glob("big?"):
        assert hashlib.sha256(path.read_bytes()).digest() == contents[path.name], "half a file"
    with running_server(tmp_path / "s3", BUCKET, first.port) as second:
        project.run("champion", command, environment=second.environment)
        if command == "push":
            project = Project(tmp_path / "clone")
            big.run("git", "clone", "--quiet", str(big.folder), str(project.folder))
            project.run("dvc", "pull", environment=second.environment)
    assert {path.name: hashlib.sha256(path.read_bytes()).digest() for path in project.folder.glob("big?")} == contents


def test_champion_s3_says_how_to_use_it_and_stops_cleanly(filled: Project, tmp_path: Path) -> None:
    program = str(Path(sys.executable).with_name("champion"))
    folder = tmp_path / "s3"
    environment = os.environ | {"PYTHONPATH": str(filled.folder / "src"), "PYTHONUNBUFFERED": "1"}
    process: Any = subprocess.Popen(
        [program, "s3", "--port", "0", "--folder", str(folder)],
        cwd=filled.folder, env=environment, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    lines: list[str] = []
    while len(lines) < 3:
        line = process.stdout.readline()
        assert line, "it ended"
        lines += [line] if line.startswith("export ") else []
    given = dict(line.removeprefix("export ").strip().split("=", 1) for line in lines)
    assert list(given) == ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL"]
    assert (folder / "identities.json").stat().st_mode & 0o077 == 0
    filled.run("dvc", "push", environment=given)
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "Stopped." in rest
    result = filled.champion("pull", environment=given, check=False)
    assert "nothing answers at" in result.stderr, "the server is gone"


def test_a_taken_port_is_one_sentence(server: LocalServer, filled: Project) -> None:
    result = filled.champion("s3", "--port", str(server.port), check=False)
    assert result.returncode == 1
    assert f"port {server.port} of 127.0.0.1 is in use" in result.stderr


def test_the_committed_remote_is_on_s3_and_holds_no_secret(filled: Project) -> None:
    remote = default_remote(filled.folder)
    assert remote.url == "s3://champion-dvc/store"
    assert not [name for name in remote.settings if name.endswith(("_id", "_key", "_token", "profile"))]


def test_a_remote_that_is_not_on_s3_is_left_to_dvc(small_run: Project, tmp_path: Path) -> None:
    project = small_run.copy_to(tmp_path / "project")
    project.run("dvc", "remote", "add", "--default", "--local", "folder", str(tmp_path / "remote"))
    project.champion("push")
    shutil.rmtree(project.folder / ".dvc/cache")
    (project.folder / "models/model.skops").unlink()
    project.champion("pull")
    assert (project.folder / "models/model.skops").is_file()
    result = project.champion("s3", check=False)
    assert result.returncode == 1
    assert "is not on S3. Set s3://BUCKET/PREFIX in .dvc/config" in result.stderr


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("dvc.lock", "<<<<<<< HEAD\nstages: {\n=======\n>>>>>>> theirs\n"),
        ("dvc.lock", ""),
        ("dvc.yaml", ""),
        ("dvc.yaml", "stages: ["),
        ("params.yaml", "a: ["),
    ],
)
def test_files_that_dvc_cannot_read_are_one_sentence(
    name: str, content: str, clone: Project, server: LocalServer
) -> None:
    (clone.folder / name).write_text(content, encoding="utf-8")
    clone.commit("Broken")
    for command in ("pull", "push"):
        result = clone.champion(command, environment=server.environment, check=False)
        assert result.returncode == 1
        assert result.stderr.startswith("error: ")
        assert len(result.stderr.splitlines()) == 1
        assert name in result.stderr


def test_a_password_in_an_endpoint_is_not_shown(clone: Project, server: LocalServer) -> None:
    endpoint = {"AWS_ENDPOINT_URL": "http://user:hunter2@127.0.0.1:1"}
    result = clone.champion("pull", environment=server.environment | endpoint, check=False)
    assert result.returncode == 1
    assert "hunter2" not in result.stderr
