"""The actor that a row of the ledger names."""

import getpass
import os
import platform


def actor() -> str:
    """Who acts: the GitHub user in a workflow of GitHub Actions, else the operating system's user@host."""
    if os.environ.get("GITHUB_ACTIONS") == "true" and (name := os.environ.get("GITHUB_ACTOR")):
        return name
    return f"{_system_user()}@{platform.node()}"


def _system_user() -> str:
    """The account that the process runs as, whatever LOGNAME and USER say."""
    if os.name != "posix":
        return getpass.getuser()
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
