"""What the counts of the prediction log say of each variant."""

from datetime import UTC, date, datetime, timedelta

import msgspec
import pytest
from scipy.stats import beta

from champion.model.intervals import share_interval
from champion.predictions.labels import Labels
from champion.predictions.log import PredictionLog
from champion.predictions.record import Answered, Complete, Outcome, Row
from champion.predictions.tally import EDGES
from champion.predictions.variants import Rate, Tally, calibrate, count_variants
from champion.table.window import Length

DAY = date(2026, 1, 31)


@pytest.mark.parametrize(
    ("through", "horizon", "event", "label"),
    [
        (None, 1, DAY, None),
        # The horizon of one month ends with 27 February, as 28 February is the day on which the label is known.
        (date(2026, 2, 26), 1, None, None),
        (date(2026, 2, 26), 1, DAY, None),
        (date(2026, 2, 27), 1, None, False),
        (date(2026, 2, 27), 1, date(2026, 2, 27), True),
        (date(2026, 3, 31), 1, date(2026, 2, 28), False),
        (date(2026, 2, 1), "2d", date(2026, 2, 1), True),
        (date(2026, 1, 31), "2d", date(2026, 1, 31), None),
        (date(2026, 1, 30), None, None, None),
        (DAY, None, None, False),
        (DAY, None, date(2027, 1, 1), True),
    ],
)
def test_a_label_is_known_when_its_horizon_is(
    through: date | None, horizon: Length | None, event: date | None, label: bool | None
) -> None:
    assert Labels(through, horizon).of(DAY, event) is label


def tally(
    version: str = "v1",
    variant: str | None = None,
    *,
    rows: int = 1,
    decision: bool | None = False,
    event: date | None = None,
    probability: float = 0.1,
    day: date = DAY,
) -> Tally:
    number = None if decision is None else sum(probability >= edge for edge in EDGES)
    return Tally(version, variant, decision, number, day, event, rows, None if decision is None else rows * probability)


LABELS = Labels(date(2026, 6, 30), 1)


def test_a_variant_has_the_rates_of_its_rows_whose_label_is_known() -> None:
    found = count_variants(
        [
            tally(rows=70),
            tally(rows=10, event=DAY),
            tally(rows=5, event=date(2026, 5, 1)),
            tally(rows=4, decision=True, event=DAY),
            tally(rows=3, decision=None),
            tally(rows=100, day=date(2026, 6, 30), event=date(2026, 6, 30)),
            tally("v2", "new_model:on", rows=2),
        ],
        LABELS,
    )
    assert [(one.version, one.variant) for one in found] == [("v1", None), ("v2", "new_model:on")]
    first = found[0]
    assert (first.rows, first.flagged, first.excluded) == (192, 4, 3)
    assert (first.known.rows, first.known.events) == (89, 14)
    assert (first.accepted.rows, first.accepted.events, first.accepted.share) == (85, 10, 10 / 85)


def test_an_interval_of_a_share_is_that_of_jeffreys() -> None:
    assert share_interval(4, 50) == pytest.approx(beta.ppf([0.025, 0.975], 4.5, 46.5))
    low, high = share_interval(0, 50)
    assert low == 0 < high < 0.1
    assert share_interval(50, 50) == pytest.approx((1 - high, 1))
    assert Rate.of({True: 4, False: 46}) == Rate(50, 4, 0.08, *share_interval(4, 50))
    assert Rate.of({}) == Rate(0, 0, None, None, None)


def test_a_bin_of_the_calibration_has_rows_of_similar_probability() -> None:
    answered = [
        tally(rows=30, probability=0.05),
        tally(rows=10, probability=0.05, event=DAY),
        tally(rows=20, probability=0.9, decision=True, event=DAY),
        tally(rows=9, probability=0.05, day=date(2026, 6, 30)),
        tally("v2", rows=7),
        tally(rows=3, decision=None),
    ]
    low, high = calibrate(answered, LABELS, "v1")
    assert (low.expected, low.observed.rows, low.observed.share) == (pytest.approx(0.05), 40, 0.25)
    assert (high.expected, high.observed.rows, high.observed.share) == (pytest.approx(0.9), 20, 1.0)


def test_a_tally_counts_all_rows_of_its_environment(database_url: str) -> None:
    log, other = PredictionLog(database_url, "production"), PredictionLog(database_url, "staging")
    log.prepare()
    moment = datetime(2026, 1, 31, 23, 59, 59, tzinfo=UTC)
    features = msgspec.Raw(b"{}")
    rows = [
        Row(features, 0.0, False, None),
        Row(features, 1.0, True, None),
        Row(features, 0.25, False, None),
        Row(features, 0.2501, False, None),
        Row(features, None, None, "rule"),
    ]
    log.add([Answered("w", 0, moment.timestamp(), "r", "user", "v1", "new_model:on", rows)])
    log.add([Answered("w", 1, (moment + timedelta(seconds=2)).timestamp(), "s", None, "v1", None, rows[:1])])
    other.add([Answered("w", 2, moment.timestamp(), "r", None, "v2", None, rows)])
    log.add([Outcome(0.0, "r", 1, "2026-02-03"), Outcome(0.0, "s", 1, "2026-02-03"), Complete(0.0, "2026-03-01")])
    found = {(one.day, one.event, one.decision, one.bin): (one.rows, one.probability) for one in log.tally()}
    middle = sum(edge <= 0.25 for edge in EDGES)
    assert found == {
        (DAY, None, False, 0): (1, 0.0),
        (DAY, date(2026, 2, 3), True, len(EDGES)): (1, 1.0),
        (DAY, None, False, middle): (2, pytest.approx(0.5001)),
        (DAY, None, None, None): (1, None),
        (date(2026, 2, 1), None, False, 0): (1, 0.0),
    }
    log.close()
    other.close()
