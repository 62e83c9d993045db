"""The one line of params.yaml that a retraining moves."""

import re
from datetime import date
from pathlib import Path

from champion.core.errors import UserError
from champion.core.files import replacing
from champion.core.layout import PARAMS

LINE = re.compile(r"^as_of:.*$", re.MULTILINE)


def set_as_of(root: Path, day: str) -> None:
    """Let the dataset be as of that day. Raises `UserError` when it is none, or params.yaml has no such line."""
    try:
        line = f"as_of: '{date.fromisoformat(day)}'"
    except ValueError:
        raise UserError(f"{day!r} is not a date such as 2010-01-01.") from None
    path = root / PARAMS
    text, found = LINE.subn(line, path.read_text(encoding="utf-8"))
    if found != 1:
        raise UserError(f"{PARAMS}: {found} lines begin with `as_of:`, one is needed.")
    with replacing(path) as draft:
        draft.write_text(text, encoding="utf-8")
