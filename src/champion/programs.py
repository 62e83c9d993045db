"""git and DVC, run as programs."""

import os
import subprocess
import sys
from pathlib import Path

from champion.errors import UserError


def run(command: list[str], folder: Path, *, quiet: bool = True) -> subprocess.CompletedProcess[str]:
    """Run in the folder, with this environment's programs first on the path.

    What a quiet one prints is in the result, and its failure raises `UserError`; any other prints to the terminal.
    """
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=quiet, text=True, check=False)
    if quiet and result.returncode:
        raise UserError(f"`{' '.join(command[:2])}` failed: {(result.stderr.strip().splitlines() or ['silently'])[-1]}")
    return result


def dvc() -> str:
    """The path of this environment's `dvc`."""
    return str(Path(sys.executable).with_name("dvc"))
