"""What the page shows of the record and of the log: a file that the supervisor writes, as no worker reaches them."""

from pathlib import Path
from typing import Self

import msgspec

from champion.core.files import replacing
from champion.predictions.variants import Bin, Variant
from champion.registry.served import Status

FILE = "overview.json"


class Span(msgspec.Struct):
    """A value with its 95% interval, if it has one."""

    value: float
    low: float | None = None
    high: float | None = None


class Scored(msgspec.Struct):
    """The ROC AUC of a model on rows of some time that it had not seen, and what these rows are."""

    rows: str
    roc_auc: Span
    chose: bool = False


class Live(msgspec.Struct):
    """The version that the environment serves: where it comes from, and what it was worth.

    `rehearsals` are those before its test, `promised` the interval that they give for the next one, and `realised` what
    came true since. `observed_expected` is the number of events for each expected one, in its test.
    """

    version: str
    registered: str
    git_commit: str | None
    as_of: str | None
    test: Span | None
    rehearsals: list[Scored]
    promised: tuple[float, float] | None
    realised: list[Scored]
    observed_expected: float | None


class Contested(msgspec.Struct):
    """A challenge: by how much the challenger's metric was higher on the same rows, if both were compared."""

    row: int
    time: str
    challenger: str
    champion: str | None
    won: bool
    metric: str | None
    difference: Span | None
    reason: str | None


class Event(msgspec.Struct):
    """A row of the ledger that says what an environment serves, or who won."""

    row: int
    time: str
    environment: str | None
    action: str
    version: str | None
    from_version: str | None
    actor: str
    reason: str | None
    result: str | None


class Answers(msgspec.Struct):
    """What the prediction log said when it was counted, at `time`, and up to which day all events are known.

    `calibration` is of the `version` that was live then.
    """

    time: str
    version: str | None
    variants: list[Variant]
    calibration: list[Bin]
    complete_through: str | None


class DriftPeriod(msgspec.Struct):
    """Some days of which the live version answered `rows`: their PSI by column, None where there is none to tell."""

    first: str
    last: str
    rows: int
    psi: dict[str, float | None]


class Drifting(msgspec.Struct):
    """How far the answers of `version` had moved from its drift reference when that was measured, at `time`.

    The oldest period is first, and `columns` have the score first, then the feature that has moved most. Of fewer than
    `min_rows` rows, nothing is said. `columns` are empty if the version has no reference.
    """

    time: str
    version: str
    min_rows: int
    columns: list[str]
    periods: list[DriftPeriod]


class Overview(msgspec.Struct):
    """What was read at `time`, None before anything was.

    `answers` is None until they are counted, if they are logged, and so is `drifting` until it is measured.

    `troubles` are sentences about what is wrong now. The lists of challenges and events have the newest first.
    """

    time: str | None = None
    logs_answers: bool = False
    champion: str | None = None
    statuses: dict[str, Status] = {}
    live: Live | None = None
    challenges: list[Contested] = []
    events: list[Event] = []
    answers: Answers | None = None
    drifting: Drifting | None = None
    troubles: list[str] = []

    def checked(self) -> Self:
        """The same, as workers read it. Raises `msgspec.ValidationError` when they cannot: a ledger can be edited."""
        return msgspec.json.decode(msgspec.json.encode(self), type=type(self))

    def write(self, folder: Path) -> None:
        """Let the workers of this folder show this."""
        with replacing(folder / FILE) as draft:
            draft.write_bytes(msgspec.json.encode(self))

    @classmethod
    def read(cls, folder: Path) -> "Overview":
        """What was written last; an empty one before the first time."""
        try:
            return msgspec.json.decode((folder / FILE).read_bytes(), type=cls)
        except FileNotFoundError:
            return cls()
