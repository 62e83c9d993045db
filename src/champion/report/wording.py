"""How the report writes values, names and lists."""

from collections.abc import Sequence
from typing import Any

from champion.core.values import finite
from champion.pipeline.evaluate.model_card import SHOWN
from champion.report.blocks import Code, Inline

YES, NO, UNKNOWN = "✅", "❌", "➖"
MISSING = "—"
REASONS, REASON_LENGTH = 10, 200


def metric_title(name: str) -> Inline:
    """The metric's name for people, or its own as code."""
    return SHOWN.get(name) or Code(name)


def joined(texts: Sequence[str], separator: str = ", ") -> tuple[Inline, ...]:
    """The first of the texts as code, and how many more there are."""
    pieces: list[Inline] = []
    for text in texts[:REASONS]:
        pieces += [separator, Code(text, REASON_LENGTH)] if pieces else [Code(text, REASON_LENGTH)]
    return (*pieces, f"{separator}and {len(texts) - REASONS} more") if len(texts) > REASONS else tuple(pieces)


def with_interval(value: float | None, interval: tuple[float, float] | None) -> str:
    """A value with its 95% interval, where it has one."""
    return value_of(value) if interval is None else f"{value_of(value)} ({interval[0]:.4f} to {interval[1]:.4f})"


def value_of(value: float | None) -> str:
    """A value with four decimals, a count with none."""
    if value is None:
        return MISSING
    return f"{value:,.0f}" if value.is_integer() and abs(value) > 1 else f"{value:.4f}"


def signed(value: float | None) -> str:
    """A difference with its sign."""
    if value is None:
        return MISSING
    if value == 0:
        return "0"
    if value.is_integer():
        return f"{value:+,.0f}"
    return f"{value:+.4f}" if abs(value) >= 0.00005 else "≈ 0"


def count_of(value: Any) -> str:
    """A whole number, or what stands for none."""
    found = finite(value)
    return MISSING if found is None else f"{found:,.0f}"
