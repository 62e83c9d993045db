"""The rows that monitoring looks at are read as a model sees them, from the log, the source and a file."""

import os
import sqlite3
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from champion.core.errors import ConflictError, UnavailableError, UserError
from champion.delivery.recent_rows import ANSWERS, read_recent
from champion.delivery.register import register
from champion.predictions.labels import Labels
from champion.registry import history
from champion.table.features import treat
from support.answers import Said, fill_log
from support.delivery import DeliveryProject
from support.results import FEATURES, people
from support.serving import ROW

DAY = date(2020, 3, 1)


@pytest.fixture
def project(delivery_project: DeliveryProject) -> DeliveryProject:
    """v1 is registered, made on 2020-01-01; the source has rows of 2019 and 2020."""
    delivery_project.use_result("strong")
    folder = delivery_project.root / "data/source"
    folder.mkdir(parents=True, exist_ok=True)
    source().write_csv(folder / "people.csv")
    register(delivery_project.staging)
    return delivery_project


def source() -> pl.DataFrame:
    return pl.concat([people(600, 8, 60_000, date(2019, 1, 1)), people(600, 9, 70_000, date(2020, 1, 1))])


def read(project: DeliveryProject, origin: str, since: date | None = None, until: date | None = None) -> pl.DataFrame:
    registry = project.staging
    return pl.concat(read_recent(registry, registry.resolve("v1"), since, until, origin))


def refusal(project: DeliveryProject, origin: str) -> str:
    with pytest.raises(UserError) as error:
        read(project, origin)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_the_log_gives_what_was_answered(project: DeliveryProject) -> None:
    fill_log(
        "staging",
        [
            Said(DAY - timedelta(days=1)),
            Said(DAY, 0.7, event=date(2020, 4, 1), variant="new_model:on"),
            Said(DAY, 0.2, version="v0"),
            Said(DAY, None, out_of_scope="too old"),
            Said(DAY + timedelta(days=1)),
        ],
        complete_through=date(2020, 8, 31),
    )
    rows = read(project, "log", DAY, DAY + timedelta(days=1))
    expected = {
        "probability": [0.7, 0.2],
        "decision": [True, False],
        "day": [DAY, DAY],
        "label": [True, False],
        "version": ["v1", "v0"],
        "variant": ["new_model:on", None],
    }
    assert rows.select(ANSWERS).to_dict(as_series=False) == expected
    assert rows.select(*FEATURES).row(0, named=True) == ROW


def test_a_log_is_read_by_days_that_begin_at_midnight(project: DeliveryProject) -> None:
    fill_log("staging", [Said(DAY + timedelta(days=number)) for number in range(4)])
    first, last = DAY + timedelta(days=1), DAY + timedelta(days=3)
    assert read(project, "log", first, last)["day"].to_list() == [first, DAY + timedelta(days=2)]
    assert read(project, "log", None, None).height == 4


def test_a_label_is_unknown_until_its_horizon_is_complete(project: DeliveryProject) -> None:
    fill_log("staging", [Said(DAY, event=DAY), Said(DAY)], complete_through=date(2020, 8, 30))
    assert read(project, "log")["label"].to_list() == [None, None]
    fill_log("staging", [], complete_through=date(2020, 8, 31))
    assert read(project, "log")["label"].to_list() == [True, False]


@pytest.mark.parametrize(
    "features",
    [
        {"age": -0.2, "region": "north", "unknown": 1},
        ROW | {"income": "much", "noise": {"a": [1]}},
        ROW | {"income": True, "noise": None},
        ROW | {"income": 10**400, "noise": 1e39},
    ],
)
def test_a_value_that_the_version_cannot_read_is_null(project: DeliveryProject, features: dict[str, Any]) -> None:
    fill_log("staging", [Said(DAY, features=features), Said(DAY)])
    expected = ROW | {"income": None, "noise": None}
    assert read(project, "log").select(*FEATURES).to_dicts() == [expected, ROW]


def test_an_empty_time_gives_no_rows_but_all_columns(project: DeliveryProject) -> None:
    source().head(0).write_parquet(project.root / "empty.parquet")
    far = date(2021, 6, 1)
    parts = [read(project, origin, far) for origin in ("log", "source", f"{project.root}/empty.parquet")]
    for part in parts:
        assert part.height == 0
        assert part.schema == parts[0].schema
        assert part.columns == [*FEATURES, *ANSWERS]


def test_the_source_is_read_again_and_scored_by_the_delivered_model(project: DeliveryProject) -> None:
    rows = read(project, "source", DAY, date(2020, 4, 1))
    model = project.staging.load_model("v1")
    taken = source().filter(pl.col("day").is_between(DAY, date(2020, 3, 31)))
    assert_frame_equal(rows.select(*FEATURES), treat(taken, model.features))
    assert abs(rows["probability"].to_numpy() - model.predict(taken)).max() < 1e-6
    assert rows["decision"].to_list() == (rows["probability"] >= model.manifest.cut).to_list()
    assert rows["label"].to_list() == (taken["answer"] == "yes").to_list()
    assert set(rows["version"]) == {"v1"}
    # By default from the first row that the models needed, in mid-2012.
    assert read(project, "source").height == source().height


def test_a_file_with_dates_and_labels_is_read_as_the_source(project: DeliveryProject, tmp_path: Path) -> None:
    source().write_parquet(tmp_path / "rows.parquet")
    source().write_csv(tmp_path / "rows.csv")
    expected = read(project, "source", DAY, date(2020, 4, 1))
    for name in ("rows.parquet", "rows.csv"):
        assert_frame_equal(read(project, str(tmp_path / name), DAY, date(2020, 4, 1)), expected)


def test_a_file_of_features_alone_is_read_whole(project: DeliveryProject, tmp_path: Path) -> None:
    source().select(*FEATURES).write_parquet(tmp_path / "rows.parquet")
    rows = read(project, str(tmp_path / "rows.parquet"), DAY, date(2020, 4, 1))
    assert (rows.height, rows["day"].null_count(), rows["label"].null_count()) == (1200, 1200, 1200)


def test_a_part_has_a_bounded_number_of_rows(project: DeliveryProject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("champion.delivery.recent_rows.ROWS", 100)
    registry = project.staging
    for origin in ("source", f"{project.root}/data/source/people.csv"):
        parts = list(read_recent(registry, registry.resolve("v1"), None, None, origin))
        assert [part.height for part in parts if part.height] == [100] * 12


def test_rows_that_cannot_be_read_are_told_in_one_sentence(project: DeliveryProject, tmp_path: Path) -> None:
    assert "there is no such file" in refusal(project, f"{tmp_path}/gone.csv")
    assert "ends neither in .parquet nor in .csv" in refusal(project, "sauce")
    source().drop("age").write_parquet(tmp_path / "rows.parquet")
    assert "v1 needs the column 'age', which is missing" in refusal(project, f"{tmp_path}/rows.parquet")
    source().with_columns(day=pl.lit("soon")).write_csv(tmp_path / "rows.csv")
    assert "'soon' in row 1 of column 'day' is no date. Correct it." in refusal(project, f"{tmp_path}/rows.csv")
    source().with_columns(day=pl.lit(1)).write_parquet(tmp_path / "rows.parquet")
    assert "the column 'day' holds Int32, not date" in refusal(project, f"{tmp_path}/rows.parquet")
    (project.root / "data/source/people.csv").unlink()
    assert "v1: with its registered params the rows cannot be read today" in refusal(project, "source")


def test_a_log_that_is_gone_is_told(project: DeliveryProject) -> None:
    fill_log("staging", [Said(DAY)])
    parts = read_recent(project.staging, project.staging.resolve("v1"), None, None, "log")
    next(parts)
    path = os.environ["CHAMPION_PREDICTIONS_URL"].removeprefix("sqlite:///")
    with sqlite3.connect(path) as database:
        database.execute("DROP TABLE predictions")
    database.close()
    with pytest.raises(UnavailableError, match="prediction log of staging cannot be used"):
        next(parts)


def test_a_feature_with_the_name_of_an_answer_is_refused(project: DeliveryProject) -> None:
    registry = project.staging
    first = history.registration(registry.rows, "v1")
    features = [dict(one) | {"name": "label"} for one in first.details["features"][:1]]
    with registry.ledger.appending() as session:
        details = dict(first.details) | {"features": features}
        session.append("register", version="v2", model_sha256=first.model_sha256, details=details)
    with pytest.raises(ConflictError, match="the feature 'label' of v2 has the name"):
        read_recent(project.staging, project.staging.resolve("v2"), None, None, "log")


DAYS = st.dates(date(2019, 12, 1), date(2020, 4, 1))


@given(
    rows=st.lists(st.tuples(DAYS, st.none() | DAYS), min_size=1, max_size=20),
    complete_through=st.none() | DAYS,
    horizon=st.sampled_from([None, 0, "0d", 1, 2, "30d", "1d"]),
)
def test_a_tables_labels_are_those_of_each_row(
    rows: list[tuple[date, date | None]], complete_through: date | None, horizon: int | str | None
) -> None:
    labels = Labels(complete_through, horizon)
    table = pl.DataFrame(rows, {"day": pl.Date, "event": pl.Date}, orient="row")
    found = table.select("day", label=labels.of_rows(pl.col("day"), pl.col("event")))["label"]
    assert found.to_list() == [labels.of(*row) for row in rows]
