"""Changing the date of the dataset."""

from pathlib import Path

import pytest

from champion.core.errors import UserError
from champion.retraining.as_of import set_as_of


def test_only_the_line_of_the_date_changes(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("# as_of: here\nas_of: '2010-01-01' # a comment\nrest: {as_of: x}\n")
    set_as_of(tmp_path, "2009-07-01")
    assert (tmp_path / "params.yaml").read_text() == "# as_of: here\nas_of: '2009-07-01'\nrest: {as_of: x}\n"


@pytest.mark.parametrize("day", ["", "tomorrow", "2010-02-30", "2010-01-01'\ningest: {}"])
def test_what_is_no_date_changes_nothing(tmp_path: Path, day: str) -> None:
    (tmp_path / "params.yaml").write_text("as_of: '2010-01-01'\n")
    with pytest.raises(UserError, match="is not a date"):
        set_as_of(tmp_path, day)
    assert (tmp_path / "params.yaml").read_text() == "as_of: '2010-01-01'\n"


def test_a_file_without_the_line_is_told(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("rest: 1\n")
    with pytest.raises(UserError, match="0 lines begin with `as_of:`"):
        set_as_of(tmp_path, "2010-01-01")
