"""Everything is logged within MLflow's limits; nothing is lost or mixed up, and no secret is shown."""

import re

import pytest

from champion.environments import load_environment
from champion.tracking.client import shown_uri
from champion.tracking.values import finite_metrics, mlflow_name, params_of
from support.project import EXAMPLE

ALLOWED = re.compile(r"[\w.\- ]{1,250}", flags=re.ASCII)


@pytest.mark.parametrize("name", ["roc_auc", "train.seed", "columns.loan id.type"])
def test_a_usual_name_stays(name: str) -> None:
    assert mlflow_name(name) == name


@pytest.mark.parametrize("name", ["Delta 15 N (o/oo)", "größe", "a/../b", "x" * 300, "tab\t"])
def test_any_name_becomes_one_that_mlflow_takes(name: str) -> None:
    assert ALLOWED.fullmatch(mlflow_name(name))


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("https://ada:hunter2@host:5000/x?token=hunter2", "https://***@host:5000/x?token=***"),
        ("https://ada:hunter2/?@host", "https://***@host"),
        ("https://host", "https://host"),
        ("sqlite:////var/ada@home/mlflow.db", "sqlite:////var/ada@home/mlflow.db"),
    ],
)
def test_an_address_is_shown_without_its_secrets(uri: str, shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert shown_uri(load_environment("staging", EXAMPLE)) == shown


def test_names_that_would_collide_do_not() -> None:
    names = ["a(b", "a/b", "a_b", "x" * 300, "x" * 299]
    assert len({mlflow_name(name) for name in names}) == len(names)


def test_a_long_param_is_cut_and_says_so() -> None:
    (value,) = params_of({"query": "x" * 7000}).values()
    assert len(value) == 6000
    assert value.endswith("… (7000 characters, cut)")


def test_params_are_flat_text() -> None:
    params = {"train": {"seed": 0, "search": {"grid": {}}}, "segments": ["a", "b"], "as_of": "2010-01-01", "gone": None}
    assert params_of(params) == {
        "train.seed": "0",
        "train.search.grid": "{}",
        "segments": '["a", "b"]',
        "as_of": "2010-01-01",
        "gone": "null",
    }


def test_every_finite_number_is_a_metric_and_nothing_else_is() -> None:
    found = finite_metrics(
        {"roc_auc": 0.7, "bad": None, "text": "x", "yes": True}, training={"cv": {"mean": 1, "nan": None}}
    )
    assert found == {"roc_auc": 0.7, "training.cv.mean": 1.0}
