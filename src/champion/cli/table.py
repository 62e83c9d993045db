"""Tables and JSON on stdout."""

import json
import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import typer

from champion.core.values import escaped, finite

# Wider than any line, so that lines for other programs are not cut or wrapped.
_UNLIMITED = 1_000_000


def print_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print columns that fit the terminal; without a terminal, every row is one line. Escape control characters."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*headers, box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for row in rows:
        table.add_row(*(Text(escaped(cell)) for cell in row))
    if sys.stdout.isatty():
        Console().print(table)
        return
    console = Console(width=_UNLIMITED, height=1, color_system=None)
    with console.capture() as captured:
        console.print(table)
    typer.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))


def print_json(content: Any) -> None:
    """Print the content as JSON."""
    typer.echo(json.dumps(content, indent=2))


def number(value: Any) -> str:
    """A metric for a table."""
    return f"{value:.4f}" if isinstance(value, int | float) and math.isfinite(value) else "none"


def with_interval(metrics: Mapping[str, Any], name: str) -> str:
    """A metric for a table, with the ends of its interval if there are any."""
    low, high = metrics.get(f"{name}_low"), metrics.get(f"{name}_high")
    interval = "" if finite(low) is None or finite(high) is None else f" [{number(low)}, {number(high)}]"
    return f"{number(metrics.get(name))}{interval}"
