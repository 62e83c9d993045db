"""git and DVC, run as programs."""

import os
import subprocess
import sys
from pathlib import Path

from champion.core.errors import UserError


def run(command: list[str], folder: Path, *, quiet: bool = True) -> subprocess.CompletedProcess[str]:
    """Run in the folder, with this environment's programs first on the path.

    What a quiet one prints is in the result, and its failure raises `UserError`; any other prints to the terminal.
    """
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=quiet, text=True, check=False)
    if quiet and result.returncode:
        raise UserError(f"`{' '.join(command[:2])}` failed: {_reason(result.stderr)}")
    return result


def require_root(folder: Path) -> None:
    """Raise `UserError` unless the folder is the root of a DVC repository in git."""
    for name in (".dvc", ".git"):
        if not (folder / name).exists():
            raise UserError(f"there is no {name} here. Run this in the root of the repository.")


def _reason(stderr: str) -> str:
    lines = [line.strip() for line in stderr.splitlines() if line.strip()] or ["it said nothing."]
    return next((line for line in lines if line.lower().startswith(("fatal", "error"))), lines[-1])


def dvc() -> str:
    """The path of this environment's `dvc`."""
    return str(Path(sys.executable).with_name("dvc"))
