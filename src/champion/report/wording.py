"""How the report writes values, names and lists, as filters of its template."""

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from champion.core.markdown import as_code
from champion.core.values import finite
from champion.judging.comparison import Paired
from champion.pipeline.evaluate.model_card import SHOWN
from champion.report.comparison import Change
from champion.repository.revision import Revision

YES, NO, UNKNOWN, MISSING = Markup("✅"), Markup("❌"), Markup("➖"), Markup("—")
REASONS, REASON_LENGTH = 10, 200

# If metrics have different verdicts, the first one in this order decides.
MARKS = {
    "worse": Markup("▼"),
    "better": Markup("▲"),
    "noise": Markup("≈"),
    "unpaired": UNKNOWN,
    "same": Markup("="),
    "moved": Markup(""),
}


def metric_title(name: str) -> Markup:
    """The metric's title if it has one, else its name as code."""
    return Markup(SHOWN[name]) if name in SHOWN else as_code(name)  # noqa: S704


def mark(change: Change, base: Revision) -> Markup:
    """The mark and word for the change of a metric."""
    match change.verdict:
        case None if change.after is not None:
            return Markup("new") if base.evaluation else Markup("")
        case None:
            return Markup("no longer a number") if change.before is not None else Markup("no number")
        case "noise":
            return MARKS["noise"] + " within noise"
        case "unpaired":
            return MARKS["unpaired"] + " not paired"
        case "better" | "worse" as verdict if change.judged:
            return MARKS[verdict] + f" {verdict}"
        case verdict:
            return MARKS[verdict]


def joined(texts: Sequence[str], separator: str = ", ") -> Markup:
    """The first texts as code, and the number of further ones."""
    pieces = [as_code(text, REASON_LENGTH) for text in texts[:REASONS]]
    if len(texts) > REASONS:
        pieces.append(Markup("and {} more").format(len(texts) - REASONS))
    return Markup(separator).join(pieces)  # noqa: S704


def value_of(value: float | None, interval: tuple[float, float] | None = None) -> Markup:
    """A value with four decimals (a count with none), and its 95% interval if it has one."""
    if value is None:
        return MISSING
    is_count = value.is_integer() and abs(value) > 1
    told = Markup("{:,.0f}").format(value) if is_count else Markup("{:.4f}").format(value)
    return told if interval is None else told + Markup(" ({:.4f} to {:.4f})").format(*interval)


def signed(value: float | None) -> Markup:
    """A difference with its sign."""
    if value is None:
        return MISSING
    if value == 0:
        return Markup("0")
    if value.is_integer():
        return Markup("{:+,.0f}").format(value)
    return Markup("{:+.4f}").format(value) if abs(value) >= 0.00005 else Markup("≈ 0")


def interval(paired: Paired) -> Markup:
    """A paired difference with its 95% interval, with the digits of a challenge."""
    return Markup("{:+.4f} ({:+.4f} to {:+.4f})").format(paired.difference, paired.low, paired.high)


def change_of(change: Change) -> Markup:
    """By how much the metric changed, with the interval if both sides were paired."""
    return signed(change.delta) if change.paired is None else interval(change.paired)


def count_of(value: Any) -> Markup:
    """A whole number, or the sign for a missing one."""
    found = finite(value)
    return MISSING if found is None else Markup("{:,.0f}").format(found)


FILTERS = {
    "metric": metric_title,
    "mark": mark,
    "joined": joined,
    "value": value_of,
    "signed": signed,
    "change": change_of,
    "count": count_of,
}
