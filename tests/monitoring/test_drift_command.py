"""`champion drift`: recent rows of the log, the source and a file, against a registered version."""

import json
import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from champion.delivery.deployment import deploy
from champion.delivery.register import register
from champion.registry import history
from support.answers import Said, fill_log
from support.delivery import DeliveryProject
from support.project import Project
from support.results import people

TODAY = datetime.now(UTC).date()


@pytest.fixture
def project(delivery_project: DeliveryProject) -> DeliveryProject:
    """Staging serves v1, whose reference are the rows of 2019; the source has rows of these months and of 2020."""
    delivery_project.use_result("refreshed")
    folder = delivery_project.root / "data/source"
    folder.mkdir(parents=True, exist_ok=True)
    pl.concat([people(900, 8, 60_000, date(2019, 1, 1)), moved(2020)]).write_csv(folder / "people.csv")
    register(delivery_project.staging)
    deploy(delivery_project.staging, "v1")
    return delivery_project


def moved(year: int) -> pl.DataFrame:
    """Rows of a year with higher incomes and a region that is all new."""
    return people(900, 9, 70_000, date(year, 1, 1)).with_columns(pl.col("income") + 2, region=pl.lit("west"))


def run(project: DeliveryProject, *arguments: str, **options: Any) -> Any:
    return Project(project.root).champion("drift", "--env", "staging", *arguments, **options)


def measured(project: DeliveryProject, *arguments: str) -> dict[str, Any]:
    return json.loads(run(project, *arguments, "--json").stdout)


def verdicts(found: dict[str, Any]) -> dict[str, bool | None]:
    return {one["column"]: one["drifted"] for one in (found["score"], *found["features"])}


def write(project: DeliveryProject, rows: pl.DataFrame, name: str = "new.parquet") -> str:
    path = project.root / name
    rows.write_parquet(path)
    return str(path)


def test_a_file_of_rows_that_moved_has_drifted(project: DeliveryProject) -> None:
    path = write(project, moved(2020))
    found = measured(project, "--from", path)
    assert verdicts(found) == {"(score)": True, "income": True, "region": True, "age": False, "noise": False}
    assert [one["column"] for one in found["features"]][:2] == ["region", "income"]
    assert (found["version"], found["rows"], found["drifted_share"]) == ("v1", 900, 0.5)
    assert found["joint"]["roc_auc"] > 0.9
    assert set(found["joint"]["importance"]) >= {"region"}
    assert found["findings"] == []


def test_a_table_has_the_score_first_and_then_the_features_by_their_index(project: DeliveryProject) -> None:
    told = run(project, "--from", write(project, moved(2020))).stdout.splitlines()
    assert told[0].startswith("900 rows of ")
    assert told[1].split()[:3] == ["column", "verdict", "PSI"]
    assert [line.split()[0] for line in told[2:5]] == ["(score)", "region", "income"]
    assert re.search(r"^region +drifted +\d+\.\d{3} +chi_square +< 0.0001 +< 0.0001 +0.0% +0.0% +100.0% new$", told[3])
    assert any(line.startswith("joint drift: a classifier tells") for line in told)


def test_the_source_is_read_from_a_day_on(project: DeliveryProject) -> None:
    before = measured(project, "v1", "--from", "source", "--since", "2019-01-01", "--until", "2020-01-01")
    assert (before["rows"], verdicts(before)["income"]) == (900, False)
    after = measured(project, "v1", "--from", "source", "--since", "2020-01-01", "--until", "2021-01-01")
    assert (after["rows"], verdicts(after)["income"]) == (900, True)


def test_the_log_is_read_by_default_for_the_last_window(project: DeliveryProject) -> None:
    drawn = np.random.default_rng(0).normal(size=(600, 2)).tolist()
    rows = [{"income": income, "age": age, "noise": 0.0, "region": "north"} for income, age in drawn]
    recent = [Said(TODAY - timedelta(days=5), 0.5, features=row) for row in rows]
    others = [Said(TODAY - timedelta(days=5), 0.9, features=row, version="v0") for row in rows[:100]]
    old = [Said(TODAY - timedelta(days=31), 0.5, features=rows[0])] * 50
    fill_log("staging", recent + others + old)
    found = measured(project)
    assert (found["from"], found["rows"], found["score"]["rows"]) == ("log", 700, 600)
    assert found["until"] == (TODAY + timedelta(days=1)).isoformat()
    assert verdicts(found) == {"(score)": True, "income": False, "age": False, "noise": True, "region": True}


def test_an_empty_window_is_told_and_no_error(project: DeliveryProject) -> None:
    fill_log("staging", [])
    told = run(project).stdout
    assert told.startswith("0 rows of the prediction log")
    assert "no verdict: there are no rows, and `monitoring.min_rows` is 500" in told
    assert "no joint drift: there are too few rows" in told


def test_an_older_version_has_no_joint_drift(project: DeliveryProject) -> None:
    register_as_before(project, "reference_rows.parquet")
    told = run(project, "v2", "--from", write(project, moved(2020))).stdout
    assert "no joint drift: v2 was registered by an older release, which kept no rows of the drift reference" in told


def test_a_version_without_a_reference_is_refused(project: DeliveryProject) -> None:
    register_as_before(project, "reference_rows.parquet", "reference.json")
    refused = run(project, "v2", "--from", write(project, moved(2020)), check=False)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == (
        "error: v2 was registered by an older release and has no reference.json, which rows are compared with. Choose "
        "a newer version.\n"
    )


def register_as_before(project: DeliveryProject, *files: str) -> None:
    """Register v2: v1 as an older release did it, without these files."""
    details = history.registration(project.staging.rows, "v1").details
    kept = {name: sha256 for name, sha256 in details["files"].items() if name not in files}
    with project.staging.ledger.appending() as session:
        older = details | {"format": 3, "files": kept}
        session.append("register", version="v2", model_sha256=kept["model.skops"], details=older)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--from", "nothing.parquet"], "there is no such file"),
        (["--since", "soon"], "'soon' is no day such as 2026-10-31."),
        (["v9"], "there is no version 'v9'"),
        (["--html", "nowhere/page.html"], "its folder does not exist"),
    ],
)
def test_a_mistake_is_told_in_one_sentence(project: DeliveryProject, arguments: list[str], told: str) -> None:
    fill_log("staging", [])
    refused = run(project, *arguments, check=False)
    assert refused.returncode == 1
    assert told in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_a_page_is_written_beside_the_table(project: DeliveryProject, tmp_path: Path) -> None:
    page = tmp_path / "drift.html"
    told = run(project, "--from", write(project, moved(2020)), "--html", str(page)).stdout
    assert told.startswith("900 rows of ")
    assert "<h1>Drift from v1 in staging</h1>" in page.read_text(encoding="utf-8")
    assert "a classifier tells these rows" in page.read_text(encoding="utf-8")
