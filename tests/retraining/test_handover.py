"""The name of a new champion, as one workflow hands it on to another."""

import subprocess
import sys
from pathlib import Path

import pytest

from champion.retraining.handover import read_name
from support.project import REPOSITORY


def test_a_name_is_handed_on(tmp_path: Path) -> None:
    given, output = tmp_path / "version.txt", tmp_path / "output"
    given.write_text("v12")
    # Without this environment's packages, as in the job.
    command = [sys.executable, "-I", "-S", "-c"]
    source = str(REPOSITORY / "src")
    code = f"import sys; sys.path.insert(0, {source!r}); from champion.retraining.handover import main; main()"
    done = subprocess.run(
        [*command, code, str(given)], env={"GITHUB_OUTPUT": str(output)}, capture_output=True, text=True, check=True
    )
    assert (done.stdout, output.read_text()) == ("v12\n", "version=v12\n")


@pytest.mark.parametrize(
    "content", ["", "v", "v1\nv2", "v1; x", "../v1", "v1\nname=x", "champion", "v１", "v" + "1" * 99]
)
def test_what_is_no_name_of_a_version_is_no_new_champion(tmp_path: Path, content: str) -> None:
    (tmp_path / "version.txt").write_text(content)
    assert read_name(tmp_path / "version.txt") is None


def test_no_file_is_no_new_champion(tmp_path: Path) -> None:
    assert read_name(tmp_path / "version.txt") is None
