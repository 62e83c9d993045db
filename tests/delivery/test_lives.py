"""Two versions of each kind of table and recipe, from their registration to what they really did."""

from datetime import date
from pathlib import Path

import polars as pl
import pytest

from champion.core.errors import UserError
from champion.delivery import deployment, proof
from champion.delivery.audit import differences
from champion.delivery.challenge import challenge
from champion.delivery.realised import realise
from champion.delivery.register import register
from champion.registry.served import read_pointer
from support.delivery import DeliveryProject


@pytest.fixture(scope="module")
def more(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results that only this module needs: two of a table of 1,000 rows, and one of a table without dates that grew."""
    from support.results import UNDATED, make_result, people

    folder = tmp_path_factory.mktemp("more")
    learned, test = people(500, 1, 0, date(2017, 1, 1)), people(500, 2, 1000, date(2018, 7, 1))
    make_result(folder / "a thousand rows", pl.concat([learned, test]))
    later = people(500, 4, 2000, date(2019, 7, 1))
    make_result(folder / "a thousand rows, a year later", pl.concat([test, later]), as_of="2021-01-01")
    grown = pl.concat([people(3000, 1, 0, date(2017, 1, 1)), people(300, 7, 3000, date(2018, 1, 1))])
    make_result(folder / "undated, grown", grown.drop("day"), **UNDATED)
    return folder


def use(project: DeliveryProject, more: Path, result: str) -> None:
    """Let the project's files be those of the result; `worse calibration` are the models on disk with another one."""
    from support.results import recalibrate

    if result == "worse calibration":
        recalibrate(project.root, 4)
        project.edit_params("train", calibration="sigmoid")
        return
    folder = more if (more / result).exists() else project.results
    DeliveryProject(project.root, folder).use_result(result)


@pytest.mark.parametrize(
    ("first", "second", "kind", "won"),
    [
        ("strong", "refreshed", "must not lose", True),
        ("weak", "strong", "must win", True),
        ("strong", "weak", "must win", False),
        ("strong", "worse calibration", "must not lose", False),
        ("undated", "undated, grown", "must not lose", True),
        ("a thousand rows", "a thousand rows, a year later", "must not lose", True),
    ],
)
def test_two_versions_live_and_one_goes_back(
    delivery_project: DeliveryProject, more: Path, first: str, second: str, kind: str, won: bool
) -> None:
    from support.results import people

    use(delivery_project, more, first)
    assert register(delivery_project.staging)[1]
    assert challenge(delivery_project.staging).won
    assert deployment.deploy(delivery_project.staging, "champion").row.version == "v1"

    use(delivery_project, more, second)
    assert register(delivery_project.staging)[1]
    verdict = challenge(delivery_project.staging)
    assert verdict.contest is not None
    assert (verdict.contest.kind, verdict.won) == (kind, won)
    assert deployment.deploy(delivery_project.staging, "v2").changed
    assert proof.smoke_test(delivery_project.staging)[1].passed
    assert deployment.rollback(delivery_project.staging).row.version == "v1"
    pointer = read_pointer(delivery_project.staging.environment)
    assert pointer is not None
    assert pointer.details["models"] == delivery_project.staging.resolve("v1").models

    (delivery_project.root / "data/source").mkdir(parents=True, exist_ok=True)
    people(900, 8, 60_000, date(2020, 1, 1)).write_csv(delivery_project.root / "data/source/people.csv")
    if "undated" in first:
        with pytest.raises(UserError, match="the table of v1 has no dates"):
            realise(delivery_project.staging, "v1", "2021-01-01")
    else:
        done = realise(delivery_project.staging, "v1", "2021-01-01").details["after"]
        assert (done["first"], done["last"]) == ("2020-01-01", "2020-07-01")
        assert done["metrics"]["roc_auc"] > 0.6
    assert differences(delivery_project.staging) == []
