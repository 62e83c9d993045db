import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from champion.core.errors import UserError
from champion.registry.stores import ABANDONED_AFTER, Store


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_a_file_comes_back_and_goes(tmp_path: Path, scheme: str) -> None:
    store = Store(f"{scheme}{tmp_path}/deep/store/")
    assert store.read("a/b.json") is None
    assert store.keys() == []
    store.write("a/b.json", b"one")
    store.write("a/b.json", b"two")
    assert store.read("a/b.json") == b"two"
    assert store.read("a") is None
    assert store.keys() == ["a/b.json"]
    store.remove("a/b.json")
    store.remove("a/b.json")
    assert store.keys() == []


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(str(tmp_path))
    store.write("a", b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        store.write("a", b"new")
    assert store.read("a") == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["a"]


def test_only_what_a_killed_writer_left_long_ago_is_cleared(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    store.write("a", b"kept")
    for name in ("old", "new"):
        (tmp_path / f".a.{name}.part").write_bytes(b"ke")
    past = time.time() - ABANDONED_AFTER - 1
    os.utime(tmp_path / ".a.old.part", (past, past))
    os.utime(tmp_path / "a", (past, past))
    store.clear_abandoned()
    assert sorted(file.name for file in tmp_path.iterdir()) == [".a.new.part", "a"]
    assert store.keys() == ["a"]


def test_a_url_that_nothing_can_open_is_one_sentence() -> None:
    with pytest.raises(UserError, match="its URL is not supported"):
        Store("carrier-pigeon://loft/models").read("a")


def test_delivery_starts_without_the_heavy_libraries() -> None:
    heavy = ("sklearn", "pandas", "polars", "numpy", "mlflow", "skops", "requests", "pyarrow")
    code = (
        "import sys, champion.cli.main, champion.delivery.deployment, champion.environments\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
