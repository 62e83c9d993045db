"""Build the generated parts of the docs: the command-line reference, and the pictures of the result and the replay.

python docs/build.py            write docs/reference.md, the tables in docs/replay.md and docs/images
python docs/build.py --check    exit non-zero when docs/reference.md or docs/replay.md is stale
"""

import io
import json
import math
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import typer
import vl_convert
from PIL import Image

from champion.cli.main import app
from champion.report.plots import read_plots
from champion.report.themes import darkened, themed
from champion.repository.revision import working_tree
from champion.retraining.replay.pictures import draw_promises, draw_quarters
from champion.retraining.replay.summary import (
    compare_policies,
    describe_policies,
    describe_promises,
    describe_triggers,
    read_promises,
)

FOLDER = Path(__file__).parent
REFERENCE = FOLDER / "reference.md"
REPLAY = FOLDER / "replay.md"
# The years of the goals, the years that a default may be chosen by, and the years that judge it.
SPANS = ((2004, 2012), (2002, 2007), (2008, 2012))
# So few that a reader can tell the lines apart.
DRAWN = ("frozen", "triggers-refresh", "yearly-none", "quarterly-none")
COLUMNS, COLUMN, GAP = 3, 350, 20


INTRODUCTION = """# Command reference

`python docs/build.py` writes this page from `champion --help`, and a test checks it. Every command works in any folder
of the repository. Paths on the command line are relative to your current folder.

| exit status | means |
|---|---|
| 0 | done, or yes |
| 1 | no (a closed gate, a lost challenge, an environment that cannot be read), or an error that the message explains |
| 2 | wrong usage: an unknown command, option or value |
| 10 | a retraining is due (`champion should-retrain`) |"""


def reference() -> str:
    """Every command with its options, from the commands' help texts and in their panels."""
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
    """A list of a command's options and arguments."""
    options = []
    for option in command.params:
        shown = ", ".join(f"`{flag}`" for flag in option.opts) or f"`{option.name}`"
        default = option.show_default if isinstance(option.show_default, str) else option.default
        told = "" if option.required or default in (None, False) else f" Default: `{default}`."
        options.append(f"- {shown}: {option.help or ''}{told}")
    if options:
        yield "\n".join(options)


def picture(theme: Callable[[str], str]) -> bytes:
    """The plots of dvc.yaml in one PNG: in columns of equal width, and each row as high as its highest plot."""
    drawn = [theme(plot.svg()) for plot in read_plots({"model": working_tree(FOLDER.parent)})]
    panels, top, height, column = [], 0.0, 0.0, 0
    for svg in drawn:
        own_width, own_height = (float(re.search(rf'{side}="([\d.]+)"', svg)[1]) for side in ("width", "height"))
        taken = math.ceil((own_width + GAP) / (COLUMN + GAP))
        if column + taken > COLUMNS:
            top, height, column = top + height + GAP, 0.0, 0
        x, y = GAP + column * (COLUMN + GAP), GAP + top
        panels.append(svg.replace("<svg ", f'<svg x="{x}" y="{y}" ', 1))
        height, column = max(height, own_height), column + taken
    width, height = GAP + COLUMNS * (COLUMN + GAP), top + height + 2 * GAP
    opening = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}">'
    paper = theme('<rect width="100%" height="100%" fill="white"/>')
    drawn_twice_as_large = vl_convert.svg_to_png(f"{opening}{paper}{''.join(panels)}</svg>", scale=2)
    small = io.BytesIO()
    Image.open(io.BytesIO(drawn_twice_as_large)).convert("RGB").quantize(128).save(small, "PNG", optimize=True)
    return small.getvalue()


def replay() -> str:
    """docs/replay.md with its tables made again, each after the comment that names it."""
    policies, promises = compare_policies(FOLDER.parent), read_promises(FOLDER.parent)
    text = REPLAY.read_text(encoding="utf-8")
    for name, table in (
        ("policies", describe_policies(policies, SPANS)),
        ("triggers", describe_triggers(policies)),
        ("promises", describe_promises(promises)),
    ):
        text = re.sub(rf"(?<=<!-- {name} -->\n\n)(\|.*\n)+", f"{table}\n", text)
    return text


def replay_pictures() -> dict[str, str]:
    """The pictures of docs/replay.md as SVG, by the name of their file."""
    drawn = [one for one in compare_policies(FOLDER.parent) if one.name in DRAWN]
    specs = {"replay": draw_quarters(drawn), "promises": draw_promises(read_promises(FOLDER.parent))}
    return {f"{name}.svg": themed(vl_convert.vegalite_to_svg(json.dumps(spec))) for name, spec in specs.items()}


def main() -> None:
    if "--check" in sys.argv:
        for page, built in ((REFERENCE, reference()), (REPLAY, replay())):
            if page.read_text(encoding="utf-8") != built:
                sys.exit(f"docs/{page.name} is stale. Run `make docs`.")
        return
    REPLAY.write_text(replay(), encoding="utf-8")
    for name, svg in replay_pictures().items():
        (FOLDER / "images" / name).write_text(svg, encoding="utf-8")
    REFERENCE.write_text(reference(), encoding="utf-8")
    for name, theme in (("result.png", str), ("result-dark.png", darkened)):
        (FOLDER / "images" / name).write_bytes(picture(theme))


if __name__ == "__main__":
    main()
