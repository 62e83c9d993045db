"""The only line of params.yaml that a retraining changes."""

import re
from datetime import date
from pathlib import Path

from champion.core.errors import UserError
from champion.core.files import replacing
from champion.core.layout import PARAMS

LINE = re.compile(r"^as_of:.*$", re.MULTILINE)


def parse_as_of(day: str) -> date:
    """The date that a user wrote. Raises `UserError` when it is none."""
    try:
        return date.fromisoformat(day)
    except ValueError:
        raise UserError(f"{day!r} is not a date such as 2010-01-01.") from None


def set_as_of(root: Path, day: str) -> None:
    """Set `as_of` in params.yaml. Raises `UserError` when `day` is no date, or params.yaml has no `as_of` line."""
    line = f"as_of: '{parse_as_of(day)}'"
    path = root / PARAMS
    text, found = LINE.subn(line, path.read_text(encoding="utf-8"))
    if found != 1:
        raise UserError(f"{PARAMS}: {found} lines begin with `as_of:`, but one is needed. Correct the file.")
    with replacing(path) as draft:
        draft.write_text(text, encoding="utf-8")
