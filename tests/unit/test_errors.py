"""The output for a user's mistake on the terminal."""

import errno
from pathlib import Path

import pytest

from champion.core.endings import one_line_errors
from champion.core.errors import UserError


def test_a_user_error_is_one_line_and_status_1() -> None:
    with pytest.raises(SystemExit) as exit_, one_line_errors():
        raise UserError("loans.csv: no such file. Put it there.")
    assert exit_.value.code == "error: loans.csv: no such file. Put it there."


def test_a_full_disk_names_no_traceback_but_the_fix() -> None:
    def fill() -> None:
        with Path("/dev/full").open("w") as full:
            full.write("x" * 100_000)

    with pytest.raises(SystemExit, match=r"No space left on device\. Free some space") as exit_, one_line_errors():
        fill()
    assert str(exit_.value.code).startswith("error: ")


def test_a_refused_permission_names_the_file() -> None:
    with pytest.raises(SystemExit, match=r"error: models/model\.skops: Permission denied"), one_line_errors():
        raise PermissionError(errno.EACCES, "Permission denied", "models/model.skops")


def test_a_name_that_is_too_long_is_to_be_shortened(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"x: File name too long\. Shorten it, then run it again\."), one_line_errors():
        (tmp_path / ("x" * 400)).write_text("")


def test_an_os_error_that_says_nothing_is_a_bug_and_keeps_its_traceback() -> None:
    with pytest.raises(OSError, match="who knows"), one_line_errors():
        raise OSError("who knows")


def test_a_bug_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError), one_line_errors():
        raise ZeroDivisionError


def test_nothing_happens_when_all_is_well() -> None:
    with one_line_errors():
        pass


def test_a_broken_pipe_that_is_not_the_output_is_a_bug() -> None:
    with pytest.raises(BrokenPipeError), one_line_errors():
        raise BrokenPipeError(32, "Broken pipe")
