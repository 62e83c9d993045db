"""What a server measures, for Prometheus. The workers write to files that any of them can add up."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

FLUSH_SECONDS = 0.25
# The metrics of this module, apart from those that other libraries register.
OWN = CollectorRegistry()

REQUESTS = Counter("champion_requests_total", "Requests for predictions by status.", ["status"], registry=OWN)
ROWS = Counter("champion_rows_total", "Rows that were answered by version.", ["version"], registry=OWN)
OUT_OF_SCOPE = Counter(
    "champion_out_of_scope_rows_total", "Rows that training excludes by rule.", ["rule"], registry=OWN
)
EMPTIED = Counter(
    "champion_emptied_values_total",
    "Values as good as missing, by field and reason.",
    ["field", "reason"],
    registry=OWN,
)
# To measure each request would take as long as to read its body.
MEASURED = 8
SECONDS = Histogram(
    "champion_request_seconds",
    f"Seconds from a request's headers to its answer, of every {MEASURED}th request.",
    buckets=(0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5),
    registry=OWN,
)
UNLOGGED = Counter("champion_unlogged_rows_total", "Rows for which the prediction log had no room.", registry=OWN)
FALLBACKS = Counter(
    "champion_challenger_failures_total",
    "Requests that the live version answered instead.",
    ["version", "failure"],
    registry=OWN,
)
SHADOW_ROWS = Counter("champion_shadow_rows_total", "Rows that the shadow scored too.", ["version"], registry=OWN)
SHADOW_DROPPED = Counter(
    "champion_shadow_dropped_rows_total", "Rows that the shadow was too slow for.", ["version"], registry=OWN
)
SHADOW_ERRORS = Counter(
    "champion_shadow_errors_total", "Requests for which the shadow raised an error.", ["version"], registry=OWN
)
SHADOW_OTHER = Counter(
    "champion_shadow_other_decisions_total", "Rows that the shadow decides otherwise.", ["version"], registry=OWN
)
SHADOW_DIFFERENCE = Counter(
    "champion_shadow_difference_total",
    "Sum of the absolute differences between both probabilities.",
    ["version"],
    registry=OWN,
)
SERVED = Gauge(
    "champion_served",
    "1 for the live version, 0 for those before.",
    ["version"],
    multiprocess_mode="livemin",
    registry=OWN,
)
FOLLOWS = Gauge(
    "champion_follows_store",
    "1 while the server serves what its store and ledger say.",
    multiprocess_mode="mostrecent",
    registry=OWN,
)


class Buffer:
    """Counts of every request, which are added up here first: a counter is a file in memory, and a write takes time."""

    def __init__(self) -> None:
        self._amounts: dict[Counter, float] = {}

    def add(self, counter: Counter, amount: float = 1) -> None:
        """Add to the counter at the next `flush`."""
        self._amounts[counter] = self._amounts.get(counter, 0) + amount

    def flush(self) -> None:
        """Let the counters have what was added."""
        amounts, self._amounts = self._amounts, {}
        for counter, amount in amounts.items():
            counter.inc(amount)
