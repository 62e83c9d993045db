"""Build the generated parts of the docs: the command-line reference, the result's picture, and the replay's result.

python docs/build.py            write docs/reference.md, the tables in docs/replay.md and docs/images
python docs/build.py --check    exit non-zero when docs/reference.md or docs/replay.md is stale
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
import vl_convert

from champion.cli.main import app
from champion.report.plots import read_plots
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
PICTURE = FOLDER / "images/result.png"
REPLAY = FOLDER / "replay.md"
# The years of the goals, the years that a default may be chosen by, and the years that judge it.
SPANS = ((2004, 2012), (2002, 2007), (2008, 2012))
# So few that a reader can tell the lines apart.
DRAWN = ("frozen", "triggers-refresh", "yearly-none", "quarterly-none")
COLUMNS, GAP = 4, 20


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


def picture() -> bytes:
    """The plots of dvc.yaml in one PNG; each column is as wide as its widest plot."""
    drawn = [plot.svg() for plot in read_plots({"model": working_tree(FOLDER.parent)})]
    sizes = [[float(re.search(rf'{side}="([\d.]+)"', svg)[1]) for side in ("width", "height")] for svg in drawn]
    widths = [max(width for width, _ in sizes[column::COLUMNS]) for column in range(min(COLUMNS, len(sizes)))]
    heights = [max(height for _, height in sizes[row : row + COLUMNS]) for row in range(0, len(sizes), COLUMNS)]
    panels = []
    for number, svg in enumerate(drawn):
        row, column = divmod(number, COLUMNS)
        x, y = (sum(lengths) + GAP * len(lengths) for lengths in (widths[:column], heights[:row]))
        panels.append(svg.replace("<svg ", f'<svg x="{x}" y="{y}" ', 1))
    width, height = (sum(lengths) + GAP * (len(lengths) - 1) for lengths in (widths, heights))
    opening = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}">'
    white = '<rect width="100%" height="100%" fill="white"/>'
    return vl_convert.svg_to_png(f"{opening}{white}{''.join(panels)}</svg>")


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
    return {f"{name}.svg": vl_convert.vegalite_to_svg(json.dumps(spec)) for name, spec in specs.items()}


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
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_bytes(picture())


if __name__ == "__main__":
    main()
