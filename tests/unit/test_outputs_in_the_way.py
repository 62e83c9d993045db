"""An output never takes the place of what is no file of ours: a device, a pipe, or somebody's folder."""

import os
import stat
from pathlib import Path

import pytest

from champion.core.errors import UserError
from champion.core.files import replacing, write_json


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    path = tmp_path / "pipe"
    os.mkfifo(path, 0o666)
    return path


def kind_of(path: Path) -> int:
    return path.lstat().st_mode


def test_a_device_is_not_replaced(tmp_path: Path) -> None:
    device = tmp_path / "null"
    try:
        os.mknod(device, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    except PermissionError:
        # Only root makes devices, and only root could replace one.
        device = Path(os.devnull)
    before = kind_of(device)
    with pytest.raises(UserError, match=r"null: a device or a pipe, no file\. Give the path of a file\."):
        write_json(device, {"a": 1})
    assert kind_of(device) == before


def test_a_pipe_is_not_replaced(pipe: Path) -> None:
    before = kind_of(pipe)
    with pytest.raises(UserError, match="a device or a pipe"), replacing(pipe) as draft:
        draft.write_text("x")
    assert kind_of(pipe) == before
    assert [path.name for path in pipe.parent.iterdir()] == ["pipe"]


def test_a_link_to_an_open_file_is_not_replaced(tmp_path: Path) -> None:
    # As /dev/stdout is one.
    (tmp_path / "stdout").symlink_to("/proc/self/fd/1")
    with pytest.raises(UserError, match="a device or a pipe"), replacing(tmp_path / "stdout") as draft:
        draft.write_text("x")
    assert (tmp_path / "stdout").is_symlink()


@pytest.mark.parametrize("path", ["/dev/null", "/dev/stdout", "/dev/fd/1", "/dev/new"])
def test_no_file_is_made_among_the_devices(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # If the refusal is missing, nothing may happen to the machine.
    monkeypatch.setattr(Path, "rename", lambda *_: pytest.fail("it was replaced"))
    with pytest.raises(UserError, match=f"{path}: a device or a pipe"), replacing(Path(path)):
        pytest.fail("a draft was made")


def test_a_link_to_the_cache_is_still_replaced(tmp_path: Path) -> None:
    (tmp_path / "cached").write_text("old")
    (tmp_path / "out").symlink_to(tmp_path / "cached")
    with replacing(tmp_path / "out") as draft:
        draft.write_text("new")
    assert [(tmp_path / name).read_text() for name in ("cached", "out")] == ["old", "new"]


def test_a_folder_is_not_replaced_by_a_file(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "project/work.txt").write_text("of a week")
    with pytest.raises(UserError, match=r"project: a folder, no file\. Give the path of a file\."):
        write_json(tmp_path / "project", {"a": 1})
    assert [path.name for path in tmp_path.iterdir()] == ["project"]
    assert (tmp_path / "project/work.txt").read_text() == "of a week"
