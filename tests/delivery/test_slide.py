"""Tolerances against what production serves: losses that add up, and every reason why nothing is compared."""

import html
import json
import re
import shutil
import sqlite3
import subprocess
from pathlib import Path

import pytest
import sqlalchemy as sa

from champion.params import Compare
from champion.pipeline.evaluate.params import Gate
from champion.report.markdown import to_markdown
from champion.report.production import production
from champion.report.pull_request import ReportParams, build
from champion.report.verdict import Checks
from champion.repository.revision import revision, working_tree
from support.delivery import DeliveryProject, InState, move_ledger
from support.project import Project

TOLERANCE = 0.01
PARAMS = ReportParams(gates={"roc_auc": Gate(min=0.5)}, compare=Compare(tolerances={"roc_auc": TOLERANCE}))


@pytest.fixture
def promoted(in_state: InState) -> DeliveryProject:
    """Production serves v1, the result that is committed."""
    project = in_state("promoted")
    params = project.root / "params.yaml"
    params.write_text(json.dumps(json.loads(params.read_text()) | {"compare": {"tolerances": {"roc_auc": TOLERANCE}}}))
    project.commit()
    return project


def merge_loss(project: DeliveryProject, loss: float) -> None:
    """Commit a model that ranks worse than the one before, on the same test rows."""
    file = project.root / "metrics/evaluation.json"
    metrics = json.loads(file.read_text())
    file.write_text(json.dumps(metrics | {"roc_auc": metrics["roc_auc"] - loss}))
    project.commit()


def compare(project: DeliveryProject, base: str = "HEAD~1") -> subprocess.CompletedProcess[str]:
    return Project(project.root).champion("compare", "--base", base, check=False)


def row_of_report(project: DeliveryProject) -> str:
    """The report's row about production, without the marks of code."""
    head = working_tree(project.root)
    text = to_markdown(build(head, revision(project.root, "HEAD~1"), PARAMS, Checks(), production(head)))
    row = next(line for line in text.splitlines() if line.startswith("| Against production |"))
    return re.sub("</?code>|`", "", html.unescape(row))


def test_small_losses_that_add_up_are_a_breach_against_production(promoted: DeliveryProject) -> None:
    for _ in range(2):
        merge_loss(promoted, 0.004)
        told = compare(promoted)
        assert told.returncode == 0, told.stderr
        assert "worse than HEAD~1 or v1 in production by more than its tolerance" in told.stdout
    assert row_of_report(promoted) == "| Against production | ✅ | no metric is beyond its tolerance against v1 |"
    merge_loss(promoted, 0.004)
    told = compare(promoted)
    assert told.returncode == 1
    assert "worse than v1 in production:\n  roc_auc: fell from" in told.stderr
    assert "worse than HEAD~1" not in told.stderr
    assert row_of_report(promoted).startswith("| Against production | ❌ | against v1: roc_auc: fell from")


# In a fork, a secret is empty.
@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "the environment variable CHAMPION_DATABASE_URL is not set"),
        ("postgresql+psycopg://x:hunter2@127.0.0.1:1/none", "the database of production cannot be used"),
    ],
    ids=["no credentials", "the database is down"],
)
def test_a_ledger_that_cannot_be_read_stops_no_report(
    promoted: DeliveryProject, monkeypatch: pytest.MonkeyPatch, url: str, reason: str
) -> None:
    merge_loss(promoted, 0.004)
    monkeypatch.setenv("CHAMPION_DATABASE_URL", url)
    told, row = compare(promoted), row_of_report(promoted)
    assert told.returncode == 0
    assert f"not compared with production: {reason}" in told.stdout
    assert f"| ➖ | not compared with production: {reason}" in row
    assert "hunter2" not in told.stdout + row


def test_a_role_that_only_reads_the_ledger_is_enough(
    promoted: DeliveryProject, postgresql_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (Path(__file__).parents[2] / "docs/pull-requests.md").read_text(encoding="utf-8")
    grants = page.partition("```sql\n")[2].partition("```")[0]
    name = f"reader_{tmp_path.name[-20:]}"
    move_ledger(promoted, postgresql_url)
    with sa.create_engine(postgresql_url, poolclass=sa.NullPool).begin() as connection:
        database = connection.exec_driver_sql("SELECT current_database()").scalar_one()
        grants = grants.replace("champion_reader", name).replace("DATABASE champion", f'DATABASE "{database}"')
        for statement in filter(str.strip, grants.split(";")):
            connection.exec_driver_sql(statement)
    url = sa.make_url(postgresql_url).set(username=name).render_as_string(hide_password=False)
    monkeypatch.setenv("CHAMPION_DATABASE_URL", url)
    # Neither the registry nor a store can be reached.
    shutil.rmtree(promoted.root.parent / "stores")
    merge_loss(promoted, 0.012)
    assert "worse than v1 in production:" in compare(promoted).stderr
    reader = sa.create_engine(url, poolclass=sa.NullPool)
    for statement in (
        "INSERT INTO ledger SELECT * FROM ledger",
        "DELETE FROM ledger",
        "UPDATE ledger SET actor = 'eve'",
    ):
        with pytest.raises(sa.exc.DBAPIError, match="denied"), reader.begin() as connection:
            connection.exec_driver_sql(statement)


def test_a_ledger_that_somebody_edited_says_nothing(promoted: DeliveryProject) -> None:
    merge_loss(promoted, 0.012)
    with sqlite3.connect(promoted.root.parent / "ledger.db") as connection:
        for (trigger,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {trigger}")
        connection.execute("UPDATE ledger SET actor = 'eve' WHERE sequence = 1")
    connection.close()
    told = compare(promoted)
    assert "worse than v1" not in told.stderr
    assert "not compared with production: the ledger cannot be trusted: ledger row 1 was edited" in told.stdout


def test_metrics_of_other_test_rows_are_no_breach(promoted: DeliveryProject) -> None:
    promoted.use_result("refreshed")
    assert row_of_report(promoted).startswith(
        "| Against production | ➖ | not compared with production: v1, which it serves, was judged on other test rows"
    )


def test_a_metric_that_production_lacks_is_named(promoted: DeliveryProject) -> None:
    head = working_tree(promoted.root)
    served = production(head)
    params = PARAMS.model_copy(update={"compare": Compare(tolerances={"roc_auc": 0.01, "brier": 0.01})})
    lacking = type(served)(served.name, {name: value for name, value in served.evaluation.items() if name != "brier"})
    text = to_markdown(build(head, head, params, Checks(), lacking))
    assert (
        "| Against production | ➖ | no metric is beyond its tolerance against `v1`, which has no number for `brier` |"
        in text
    )


def test_nothing_is_compared_before_the_first_deployment(delivery_project: DeliveryProject) -> None:
    assert production(working_tree(delivery_project.root)).unknown == "it serves nothing yet"
