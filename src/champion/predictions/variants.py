"""What each variant answered, and what came true: the counts of the log, with intervals."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Self

import msgspec

from champion.predictions.labels import Labels


class Tally(msgspec.Struct):
    """Equal answers of the log, counted: those of one `day` with probabilities in one bin and events on one day.

    `probability` is the sum of their probabilities. Rows that are out of scope have neither `decision` nor `bin`.
    """

    version: str
    variant: str | None
    decision: bool | None
    bin: int | None
    day: date
    event: date | None
    rows: int
    probability: float | None


class Rate(msgspec.Struct):
    """How many of the rows had their event, and a 95% interval of this share; without rows there is no share."""

    rows: int = 0
    events: int = 0
    share: float | None = None
    low: float | None = None
    high: float | None = None

    @classmethod
    def of(cls, labels: Mapping[bool, int]) -> Self:
        """The rate of rows that were counted by their label."""
        from champion.model.intervals import share_interval

        rows, events = sum(labels.values()), labels.get(True, 0)
        return cls(rows, events, events / rows, *share_interval(events, rows)) if rows else cls()


class Variant(msgspec.Struct):
    """One version, and the flag and variant that chose it if one did, such as `new_model:on`.

    `rows` were answered: of them `flagged` reach the model's cut, and `excluded` are out of scope. `known` is how many
    of the others with a known label had their event, and `accepted` the same of those that were not flagged.
    """

    version: str
    variant: str | None
    rows: int
    flagged: int
    excluded: int
    known: Rate
    accepted: Rate


class Bin(msgspec.Struct):
    """Rows with a known label and similar probabilities: the mean probability, and how many had their event."""

    expected: float
    observed: Rate


def count_variants(tallies: Iterable[Tally], labels: Labels) -> list[Variant]:
    """What each variant answered and what became of it, sorted by version and variant."""
    by_variant: dict[tuple[str, str], list[Tally]] = defaultdict(list)
    for one in tallies:
        by_variant[one.version, one.variant or ""].append(one)
    return [_count(by_variant[key], labels) for key in sorted(by_variant)]


def _count(tallies: Sequence[Tally], labels: Labels) -> Variant:
    """Of one variant."""
    rows: Counter[bool | None] = Counter()
    known: dict[bool | None, Counter[bool]] = defaultdict(Counter)
    for one in tallies:
        rows[one.decision] += one.rows
        label = labels.of(one.day, one.event)
        if label is not None:
            known[one.decision][label] += one.rows
    return Variant(
        tallies[0].version,
        tallies[0].variant,
        rows.total(),
        rows[True],
        rows[None],
        Rate.of(known[True] + known[False]),
        Rate.of(known[False]),
    )


def calibrate(tallies: Iterable[Tally], labels: Labels, version: str) -> list[Bin]:
    """The version's rows with a known label by their probability, lowest first."""
    known: dict[int, Counter[bool]] = defaultdict(Counter)
    sums: dict[int, float] = defaultdict(float)
    for one in tallies:
        label = labels.of(one.day, one.event)
        if one.version == version and one.bin is not None and one.probability is not None and label is not None:
            known[one.bin][label] += one.rows
            sums[one.bin] += one.probability
    return [Bin(sums[number] / known[number].total(), Rate.of(known[number])) for number in sorted(known)]
