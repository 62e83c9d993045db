"""What train.yml hands on to deploy.yml: the name of a new champion.

This module uses only the standard library, because the job that reads the name installs nothing.
"""

import os
import re
import sys
from pathlib import Path

NAME = re.compile(r"v[0-9]{1,9}")


def read_name(path: Path) -> str | None:
    """The version's name in the file; None if there is no such file, or anything else in it."""
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return text if NAME.fullmatch(text) else None


def main() -> None:
    """Give the name to the next jobs of the workflow; nothing without a new champion."""
    name = read_name(Path(sys.argv[1]))
    with Path(os.environ["GITHUB_OUTPUT"]).open("a", encoding="utf-8") as output:
        output.write(f"version={name or ''}\n")
    print(name or "there is no new champion, so nothing is deployed")


if __name__ == "__main__":
    main()
