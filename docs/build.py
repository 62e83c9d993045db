"""Build what the docs do not write by hand: the command-line reference and the picture of the result.

python docs/build.py            write docs/reference.md and docs/images/result.png
python docs/build.py --check    exit non-zero when docs/reference.md is not what this would write
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
import vl_convert

from champion.cli.main import app

FOLDER = Path(__file__).parent
REFERENCE = FOLDER / "reference.md"
PICTURE = FOLDER / "images/result.png"
SHOWN = ("roc", "precision_recall", "calibration", "confusion", "importance", "score_distribution")
COLUMNS = 3
PANEL = (480, 380)


INTRODUCTION = """# Command reference

Written by `python docs/build.py` from `champion --help`; a test keeps it true. Every command works in any folder of the
repository. A path on the command line is from the folder where you are.

| exit status | means |
|---|---|
| 0 | done, or yes |
| 1 | no (a closed gate, a lost challenge, an environment that cannot be read), or a mistake that the message names |
| 2 | wrong usage: no such command, option or value |"""


def reference() -> str:
    """Every command with its options, from the help the command itself gives, in the panels of that help."""
    command = typer.main.get_command(app)
    parts = [INTRODUCTION, *_options(command)]
    panel = None
    for name, sub in command.commands.items():
        if sub.rich_help_panel != panel:
            panel = sub.rich_help_panel
            parts.append(f"## {panel}")
        parts += _described(sub, f"champion {name}")
    return "\n\n".join(parts) + "\n"


def _described(command: Any, path: str) -> Iterator[str]:
    """A command with its options, and the commands in it."""
    yield f"### {path}"
    yield command.help or ""
    yield from _options(command)
    for name, sub in getattr(command, "commands", {}).items():
        yield from _described(sub, f"{path} {name}")


def _options(command: Any) -> Iterator[str]:
    """A list of what a command takes."""
    options = []
    for option in command.params:
        shown = ", ".join(f"`{flag}`" for flag in option.opts) or f"`{option.name}`"
        default = option.show_default if isinstance(option.show_default, str) else option.default
        told = "" if option.required or default in (None, False) else f" Default: `{default}`."
        options.append(f"- {shown}: {option.help or ''}{told}")
    if options:
        yield "\n".join(options)


def picture() -> bytes:
    """The plots of dvc.yaml, as `dvc plots show` specifies them, in one PNG."""
    shown = subprocess.run(["dvc", "plots", "show", "--json"], capture_output=True, text=True, check=True)
    plots = json.loads(shown.stdout)["data"]
    panels, right, bottom = [], 0.0, 0.0
    for number, name in enumerate(SHOWN):
        content = plots[name][0]["content"]
        svg = vl_convert.vegalite_to_svg(content if isinstance(content, dict) else json.loads(content))
        svg = svg.replace("clip", f"{name}-clip")  # ids must differ within one picture
        width, height = (float(re.search(rf'{side}="([\d.]+)"', svg)[1]) for side in ("width", "height"))
        x, y = (number % COLUMNS) * PANEL[0], (number // COLUMNS) * PANEL[1]
        panels.append(svg.replace("<svg ", f'<svg x="{x}" y="{y}" ', 1))
        right, bottom = max(right, x + width), max(bottom, y + height)
    opening = f'<svg xmlns="http://www.w3.org/2000/svg" width="{right}" height="{bottom}">'
    white = '<rect width="100%" height="100%" fill="white"/>'
    return vl_convert.svg_to_png(f"{opening}{white}{''.join(panels)}</svg>")


def main() -> None:
    if "--check" in sys.argv:
        if REFERENCE.read_text(encoding="utf-8") != reference():
            sys.exit("docs/reference.md is stale. Run `make docs`.")
        return
    REFERENCE.write_text(reference(), encoding="utf-8")
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_bytes(picture())


if __name__ == "__main__":
    main()
