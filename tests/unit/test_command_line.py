"""The `champion` command: its options, its answers, and where it works."""

import inspect
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from champion.cli.main import app
from champion.cli.table import print_table
from support.project import Project

PANELS = ["Pipeline", "Data", "Delivery", "Serving", "Monitoring", "Retraining", "Experiments"]
# The webhook is the same for all.
WITHOUT_ENVIRONMENT = {"airflow", "demo", "ledger-key", "notify", "replay"}
# A registered version is reproduced from an environment's ledger.
WITH_ENVIRONMENT = {"reproduce"}

runner = CliRunner()


def commands(group: Any, panel: str | None = None, path: str = "") -> Iterator[tuple[str, str, Any]]:
    """Every command as (panel, name, command), those of groups with the group's panel."""
    for name, command in group.commands.items():
        here = panel or command.rich_help_panel
        if hasattr(command, "commands"):
            yield from commands(command, here, f"{path}{name} ")
        else:
            yield here, path + name, command


COMMANDS = [pytest.param(*one, id=one[1]) for one in commands(typer.main.get_command(app))]


def options(command: Any) -> set[str]:
    return {flag for option in command.params for flag in option.opts}


def test_the_help_shows_the_panels_in_order_below_where_to_start() -> None:
    told = runner.invoke(app, ["--help"]).stdout
    texts = ["Start here", "champion check", *(f"─ {panel} ─" for panel in PANELS), "Exit status"]
    places = [told.index(text) for text in texts]
    assert places == sorted(places)
    assert [param.values[0] in PANELS for param in COMMANDS] == [True] * len(COMMANDS)


@pytest.mark.parametrize(("panel", "name", "command"), COMMANDS)
def test_a_command_that_has_an_environment_takes_its_name(panel: str, name: str, command: Any) -> None:
    of_environments = (
        panel in ("Delivery", "Serving", "Monitoring", "Retraining", "Experiments") and name not in WITHOUT_ENVIRONMENT
    )
    has_environment = of_environments or name in WITH_ENVIRONMENT
    assert ("--env" in options(command)) == has_environment


@pytest.mark.parametrize(("panel", "name", "command"), COMMANDS)
def test_a_command_that_prints_a_table_can_print_json(panel: str, name: str, command: Any) -> None:
    code = inspect.getsource(inspect.unwrap(command.callback))
    assert ("--json" in options(command)) == ("print_table(" in code or "_print_comparison(" in code)


def test_outside_of_a_repository_a_command_is_refused_in_one_sentence(tmp_path: Path) -> None:
    outside = Project(tmp_path)
    refused = outside.champion("check", check=False)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == f"error: {tmp_path} is not in a repository of git and DVC. Run this inside your clone.\n"
    assert "Check params.yaml" in outside.champion("check", "--help").stdout


def test_the_version_is_the_packages() -> None:
    assert runner.invoke(app, ["--version"]).stdout == f"champion {version('champion')}\n"


@pytest.mark.parametrize("arguments", [["chek"], ["check", "--jso"], ["deploy"], ["s3", "--port", "much"]])
def test_wrong_usage_has_a_status_of_its_own(arguments: list[str]) -> None:
    assert runner.invoke(app, arguments).exit_code == 2


def test_the_shell_completes_commands() -> None:
    typed = {"_CHAMPION_COMPLETE": "complete_bash", "COMP_WORDS": "champion re", "COMP_CWORD": "1"}
    offered = runner.invoke(app, [], env=typed, prog_name="champion").stdout.split()
    of_others = ["report", "reproduce", "resolve-lock", "register", "retire", "ready", "realised"]
    assert offered == [*of_others, "retrain", "replay"]


def test_a_table_for_another_program_has_whole_lines(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    monkeypatch.setenv("TERM", "dumb")
    long = "word " * 100
    print_table(["name", "said"], [["a", f"[red]{long}"], ["longer", ""]])
    assert capsys.readouterr().out == f"name    said\na       [red]{long.strip()}\nlonger\n"
