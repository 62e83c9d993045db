"""What all workers of a server measured so far, added up for a person."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.samples import Sample

from champion.serving import metrics

# The samples of each metric by its name.
Found = Mapping[str, Sequence[Sample]]


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


def read_registry() -> CollectorRegistry:
    """A registry with the sums of all workers. Reading their files takes some milliseconds."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return registry


def measure() -> Measured:
    """What the workers measured."""
    found = {family.name: family.samples for family in read_registry().collect()}
    rows = _by_label(found, metrics.SHADOW_ROWS, "version")
    others = _by_label(found, metrics.SHADOW_OTHER, "version")
    differences = _by_label(found, metrics.SHADOW_DIFFERENCE, "version")
    return Measured(
        requests=_whole(_by_label(found, metrics.REQUESTS, "status")),
        rows=_whole(_by_label(found, metrics.ROWS, "version")),
        fallbacks=_whole(_by_label(found, metrics.FALLBACKS, "version")),
        unlogged=int(sum(sample.value for sample in _samples(found, metrics.UNLOGGED))),
        shadows=[
            Shadowed(version, int(count), int(others.get(version, 0)), differences.get(version, 0.0) / count)
            for version, count in rows.items()
            if count
        ],
        latency=_latency(_samples(found, metrics.SECONDS)),
    )


def _samples(found: Found, metric: MetricWrapperBase) -> Sequence[Sample]:
    (described,) = metric.describe()
    return found.get(described.name, ())


def _by_label(found: Found, counter: Counter, label: str) -> dict[str, float]:
    amounts: dict[str, float] = defaultdict(float)
    for sample in _samples(found, counter):
        amounts[sample.labels[label]] += sample.value
    return dict(sorted(amounts.items()))


def _whole(amounts: dict[str, float]) -> dict[str, int]:
    return {name: int(amount) for name, amount in amounts.items()}


def _latency(samples: Iterable[Sample]) -> Latency | None:
    # A histogram has its count and its sum besides.
    ends = sorted((float(one.labels["le"]), one.value) for one in samples if "le" in one.labels)
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
