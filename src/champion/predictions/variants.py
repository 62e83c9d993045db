"""What each variant answered, and what came true: the counts of the log, with intervals."""

from collections.abc import Iterable
from datetime import date

import msgspec

from champion.predictions.labels import Labels

# 95% intervals.
_TAILS = (0.025, 0.975)


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
    """How many of the rows had their event, with a 95% interval of this share; without rows there is no share.

    The interval is Jeffreys' for a binomial share (Brown, Cai and DasGupta 2001). It takes the rows as independent.
    """

    rows: int = 0
    events: int = 0
    share: float | None = None
    low: float | None = None
    high: float | None = None

    def add(self, rows: int, events: int) -> None:
        """Count these rows too."""
        self.rows += rows
        self.events += events

    def measure(self) -> None:
        """Work out the share and its interval."""
        from scipy.special import betaincinv

        if self.rows == 0:
            return
        self.share = self.events / self.rows
        low, high = betaincinv(self.events + 0.5, self.rows - self.events + 0.5, _TAILS).tolist()
        # The interval reaches the end where all rows say the same.
        self.low = 0.0 if self.events == 0 else low
        self.high = 1.0 if self.events == self.rows else high


class Variant(msgspec.Struct):
    """One version, and the flag and variant that chose it if one did, such as `new_model:on`.

    `rows` were answered: of them `flagged` reach the model's cut, and `excluded` are out of scope. `known` is how many
    of the others with a known label had their event, and `accepted` the same of those that were not flagged.
    """

    version: str
    variant: str | None
    rows: int = 0
    flagged: int = 0
    excluded: int = 0
    known: Rate = msgspec.field(default_factory=Rate)
    accepted: Rate = msgspec.field(default_factory=Rate)


class Bin(msgspec.Struct):
    """Rows with a known label and similar probabilities: the mean probability, and how many had their event."""

    expected: float
    observed: Rate


def count_variants(tallies: Iterable[Tally], labels: Labels) -> list[Variant]:
    """What each variant answered and what became of it, sorted by version and variant."""
    found: dict[tuple[str, str], Variant] = {}
    for one in tallies:
        variant = found.setdefault((one.version, one.variant or ""), Variant(one.version, one.variant))
        variant.rows += one.rows
        if one.decision is None:
            variant.excluded += one.rows
            continue
        variant.flagged += one.rows if one.decision else 0
        label = labels.of(one.day, one.event)
        if label is not None:
            for rate in (variant.known,) if one.decision else (variant.known, variant.accepted):
                rate.add(one.rows, one.rows if label else 0)
    variants = [found[key] for key in sorted(found)]
    for variant in variants:
        variant.known.measure()
        variant.accepted.measure()
    return variants


def calibrate(tallies: Iterable[Tally], labels: Labels, version: str) -> list[Bin]:
    """The version's rows with a known label by their probability, lowest first."""
    rates: dict[int, Rate] = {}
    sums: dict[int, float] = {}
    for one in tallies:
        label = labels.of(one.day, one.event)
        if one.version != version or one.bin is None or label is None:
            continue
        rates.setdefault(one.bin, Rate()).add(one.rows, one.rows if label else 0)
        sums[one.bin] = sums.get(one.bin, 0.0) + (one.probability or 0.0)
    for rate in rates.values():
        rate.measure()
    return [Bin(sums[number] / rates[number].rows, rates[number]) for number in sorted(rates)]
