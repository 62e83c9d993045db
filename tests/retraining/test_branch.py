"""train.yml runs only on main."""

import subprocess
import sys

import pytest

from support.project import REPOSITORY


def ask(ref: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(REPOSITORY / 'src')!r}); "
               "import runpy; runpy.run_module('champion.retraining.branch', run_name='__main__')", ref]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_main_may_train() -> None:
    told = ask("refs/heads/main")
    assert (told.returncode, told.stdout, told.stderr) == (0, "", "")


@pytest.mark.parametrize(
    "ref",
    ["refs/heads/topic", "refs/tags/main", "refs/heads/main/x", "main", "refs/pull/1/merge", "", "refs/heads/MAIN"],
)
def test_any_other_ref_is_refused_in_one_sentence(ref: str) -> None:
    told = ask(ref)
    assert told.returncode == 1
    assert told.stderr.startswith(f"error: {ref}: train.yml runs only on main, because ")
    assert told.stderr.count("\n") == 1
