"""Running git and DVC as programs."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from champion.core.errors import UserError
from champion.core.layout import PARAMS
from champion.core.yaml_text import read_yaml


def run(
    command: list[str], folder: Path, *, quiet: bool = True, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command in the folder, with the programs of this Python environment first on the path.

    If `quiet`, the result holds the output, and a failure raises `UserError`; otherwise it prints to the terminal.
    """
    if command[0] == dvc():
        refuse_absurd_params(folder)
    path = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    variables = os.environ | path | dict(environment or {})
    result = subprocess.run(command, cwd=folder, env=variables, capture_output=quiet, text=True, check=False)
    if quiet and result.returncode:
        raise UserError(f"`{' '.join(command[:2])}` failed: {_reason(result.stderr)}")
    return result


def find_root(folder: Path) -> Path:
    """The root of the repository that contains the folder. Raises `UserError` outside of a repository."""
    for root in (folder, *folder.parents):
        if all((root / name).exists() for name in (".dvc", ".git")):
            return root
    raise UserError(f"{folder} is not in a repository of git and DVC. Run this inside your clone.")


def _reason(stderr: str) -> str:
    lines = [line.strip() for line in stderr.splitlines() if line.strip()] or ["it gave no reason."]
    return next((line for line in lines if line.lower().startswith(("fatal", "error"))), lines[-1])


def refuse_absurd_params(folder: Path) -> None:
    """Raise `UserError` for a params.yaml with which DVC would hang, or end with a traceback."""
    if (folder / PARAMS).is_file():
        read_yaml(folder / PARAMS, PARAMS)


def dvc() -> str:
    """The path of this environment's `dvc`."""
    return str(Path(sys.executable).with_name("dvc"))
