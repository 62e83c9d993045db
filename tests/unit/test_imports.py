"""Every module can be imported on Windows, where Python lacks what only POSIX has."""

import subprocess
import sys

# Only our own modules are imported again, because other packages may use POSIX if it exists.
WITHOUT_POSIX = """
import importlib, os, pkgutil, signal, sys
import champion

def import_all():
    for module in pkgutil.walk_packages(champion.__path__, "champion."):
        if module.name != "champion.__main__":
            importlib.import_module(module.name)

import_all()
for name in [name for name in sys.modules if name.startswith("champion.")]:
    del sys.modules[name]
for name in ("fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty"):
    sys.modules[name] = None
for module, names in {
    os: ("fork", "geteuid", "getuid", "killpg", "setsid", "sysconf"),
    signal: ("SIGALRM", "SIGCHLD", "SIGHUP", "SIGKILL", "SIGQUIT", "SIGUSR1"),
}.items():
    for name in names:
        delattr(module, name)
import_all()
"""


def test_every_module_is_imported_without_posix() -> None:
    result = subprocess.run([sys.executable, "-c", WITHOUT_POSIX], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
