"""The progress output and the errors of a stage."""

import sys

import pytest

from champion.core.errors import UserError
from champion.core.stage import progress, stage_errors


def test_a_stage_that_dvc_runs_says_how_to_get_its_outputs_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_STAGE", "train")
    hint = r"^error: no\.\nNothing is lost: undo or correct your change"
    with pytest.raises(SystemExit, match=hint), stage_errors("ingest"):
        raise UserError("no.")


def test_a_stage_that_is_run_by_hand_says_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DVC_STAGE", raising=False)
    with pytest.raises(SystemExit, match=r"^error: no\.$"), stage_errors("ingest"):
        raise UserError("no.")


def test_progress_is_one_line_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("fitting [bold]"):
        pass
    assert capsys.readouterr() == ("fitting [bold] ...\n", "")


def test_progress_is_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    with progress("fitting [bold]") as show:
        show(0.5)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "fitting [bold]" in shown.err
