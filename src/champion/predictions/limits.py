"""What a request's id and an outcome may be."""

from datetime import UTC, date, datetime, timedelta

# A regular expression for the whole id.
REQUEST_ID = "[A-Za-z0-9._-]{1,64}"
# The largest number of a row in its request: databases have four bytes for it.
LAST_ROW = (1 << 31) - 1


def latest_day() -> date:
    """The last day on which an event can have happened: somewhere it is already tomorrow."""
    return datetime.now(UTC).date() + timedelta(days=1)
