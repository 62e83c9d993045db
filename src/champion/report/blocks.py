"""A report as a few kinds of blocks, whatever it is written as."""

from collections.abc import Sequence
from dataclasses import dataclass, field

HEAD_COLOUR, BASE_COLOUR, GUIDE_COLOUR = "#1f77b4", "#ff7f0e", "#999999"


@dataclass(frozen=True)
class Code:
    """Text from outside (a branch, a metric, a parameter): shown as it is, as code, on one line, never interpreted."""

    text: str
    length: int = 80

    @property
    def line(self) -> str:
        """The text with everything that does not print replaced, and cut to its length."""
        shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in self.text)
        return shown if len(shown) <= self.length else shown[: self.length - 1] + "…"


Inline = str | Code
Cell = Inline | tuple[Inline, ...]


@dataclass(frozen=True)
class Paragraph:
    """One paragraph."""

    content: Cell


@dataclass(frozen=True)
class Bullets:
    """A list of short items."""

    items: Sequence[Cell]


@dataclass(frozen=True)
class Table:
    """A table; `right` says which columns hold numbers."""

    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    right: Sequence[int] = ()


@dataclass(frozen=True)
class Line:
    """A curve by its points, in order of x."""

    name: str
    colour: str
    x: Sequence[float]
    y: Sequence[float]


@dataclass(frozen=True)
class Chart:
    """Curves over one pair of axes, x and y each from 0 up."""

    title: str
    x_title: str
    y_title: str
    lines: Sequence[Line]


@dataclass(frozen=True)
class Bars:
    """Horizontal bars by name, a colour for each series."""

    title: str
    x_title: str
    names: Sequence[str]
    series: Sequence[tuple[str, str, Sequence[float]]]


Block = Paragraph | Bullets | Table | Chart | Bars


@dataclass(frozen=True)
class Section:
    """A part of the report: a folded one shows its title until it is opened, a page's one is in the HTML only."""

    title: str
    blocks: Sequence[Block]
    folded: bool = False
    page_only: bool = False


@dataclass(frozen=True)
class Document:
    """A report: its title is the verdict."""

    title: Cell
    sections: Sequence[Section] = field(default_factory=tuple)
