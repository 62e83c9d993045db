"""The page for people: what is served, what it was worth and what came true. It changes nothing."""

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Lock

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from champion.serving.live_model import LiveModel
from champion.serving.measured import Measured, measure
from champion.serving.overview import Live, Overview, Scored

FRESH_SECONDS = 1.0
STYLE = Path(__file__).parent / "templates" / "page.css"
# The page loads its style, and nothing else; no script runs in it, and no other page can frame it.
HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


@dataclass(frozen=True)
class Scale:
    """An axis from `low` to `high`, as percent of a picture's width."""

    low: float
    high: float

    @classmethod
    def over(cls, values: Iterable[float | None], *, around: float | None = None) -> "Scale":
        """An axis with some room beside the values and, if given, `around` in it."""
        known = [value for value in (*values, around) if value is not None]
        if not known:
            return cls(0.0, 1.0)
        low, high = min(known), max(known)
        room = (high - low) * 0.06 or abs(high) * 0.1 or 1.0
        return cls(low - room, high + room)

    def at(self, value: float) -> str:
        """Where the value lies."""
        share = (value - self.low) / (self.high - self.low)
        return f"{100 * min(max(share, 0.0), 1.0):.2f}%"

    def ticks(self) -> list[float]:
        """At most six round values on it: steps of 1, 2 or 5 times a power of ten."""
        power = 10.0 ** math.floor(math.log10((self.high - self.low) / 5))
        step = next(factor * power for factor in (1, 2, 5, 10) if (self.high - self.low) / (factor * power) <= 5)
        return [round(step * place, 9) for place in range(math.ceil(self.low / step), math.floor(self.high / step) + 1)]

    def width(self, low: float, high: float) -> str:
        """How wide it is from one value to another."""
        return f"{100 * (high - low) / (self.high - self.low):.2f}%"


class Page:
    """The page of a server, whose supervisor writes to `folder`. It is made at most once a second.

    To make it, a worker reads the files of all workers, which takes time from its requests.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = Lock()
        self._made, self._make_again = "", 0.0

    def show(self, model: LiveModel) -> str:
        """The page as HTML."""
        with self._lock:
            now = time.monotonic()
            if now >= self._make_again:
                self._made = render(Overview.read(self._folder), model, measure())
                self._make_again = now + FRESH_SECONDS
            return self._made


def render(overview: Overview, model: LiveModel, measured: Measured) -> str:
    """The page as HTML, with what was read of record and log."""
    return _template().render(
        overview=overview,
        environment=model.state.environment,
        serves=model.state.live,
        cut=model.live.scorer.manifest.cut,
        measured=measured,
        Scale=Scale,
        infinity=math.inf,
        scored=[] if overview.live is None else _scored(overview.live),
    )


def _scored(live: Live) -> list[Scored]:
    """What the version was worth, from its rehearsals to what came true."""
    test = [] if live.test is None else [Scored("test of the judged model", live.test)]
    return [*live.rehearsals, *test, *live.realised]


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("champion.serving"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": lambda share: f"{100 * share:.1f}%",
        "number": lambda value: f"{value:,.3f}",
        "count": lambda value: f"{value:,}",
        "time": lambda text: f"{text[:16].replace('T', ' ')} UTC",
        "milliseconds": lambda seconds: f"{1000 * seconds:.3g} ms",
    }
    return environment.get_template("page.html.j2")
