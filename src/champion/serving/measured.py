"""What all workers of a server measured so far, added up for a person."""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from champion.serving import metrics


@dataclass(frozen=True)
class Shadowed:
    """What a version did in the shadow: the rows it scored, those it decides otherwise, and the mean difference."""

    version: str
    rows: int
    others: int
    difference: float


@dataclass(frozen=True)
class Latency:
    """How long answers took: the share of requests up to each time, both ends of which are in seconds."""

    bars: Sequence[tuple[float, float, float]]
    median: float
    p99: float


@dataclass(frozen=True)
class Measured:
    """Counts since the server began."""

    requests: dict[str, int]
    rows: dict[str, int]
    fallbacks: dict[str, int]
    unlogged: int
    shadows: list[Shadowed]
    latency: Latency | None


def read_registry() -> Any:
    """A registry of Prometheus' library with the sums of all workers. Reading their files takes some milliseconds."""
    from prometheus_client import CollectorRegistry
    from prometheus_client.multiprocess import MultiProcessCollector

    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return registry


def measure() -> Measured:
    """What the workers measured."""
    samples = [sample for family in read_registry().collect() for sample in family.samples]
    rows = _by_label(samples, metrics.SHADOW_ROWS, "version")
    others = _by_label(samples, metrics.SHADOW_OTHER, "version")
    differences = _by_label(samples, metrics.SHADOW_DIFFERENCE, "version")
    return Measured(
        requests=_whole(_by_label(samples, metrics.REQUESTS, "status")),
        rows=_whole(_by_label(samples, metrics.ROWS, "version")),
        fallbacks=_whole(_by_label(samples, metrics.FALLBACKS, "version")),
        unlogged=int(sum(sample.value for sample in samples if sample.name == "champion_unlogged_rows_total")),
        shadows=[
            Shadowed(version, int(count), int(others.get(version, 0)), differences.get(version, 0.0) / count)
            for version, count in sorted(rows.items())
            if count
        ],
        latency=_latency(samples),
    )


def _by_label(samples: Iterable[Any], counter: Any, label: str) -> dict[str, float]:
    found: dict[str, float] = defaultdict(float)
    for sample in samples:
        if sample.name == f"{counter._name}_total":
            found[sample.labels[label]] += sample.value
    return dict(sorted(found.items()))


def _whole(amounts: dict[str, float]) -> dict[str, int]:
    return {name: int(amount) for name, amount in amounts.items()}


def _latency(samples: Iterable[Any]) -> Latency | None:
    ends = [(float(one.labels["le"]), one.value) for one in samples if one.name == "champion_request_seconds_bucket"]
    ends.sort()
    total = ends[-1][1] if ends else 0
    if not total:
        return None
    bars, low, before = [], 0.0, 0.0
    for high, count in ends:
        bars.append((low, high, (count - before) / total))
        low, before = high, count
    return Latency(bars, _quantile(bars, 0.5), _quantile(bars, 0.99))


def _quantile(bars: Sequence[tuple[float, float, float]], share: float) -> float:
    """The time within which this share was answered, as if the requests of a bar lay evenly in it."""
    below = 0.0
    for low, high, part in bars:
        if part and below + part >= share:
            return low if math.isinf(high) else low + (high - low) * (share - below) / part
        below += part
    return bars[-1][0]
