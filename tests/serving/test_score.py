"""`champion score`: every row of a file is scored as the model does, once, in order, whatever interrupts the run."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
import time
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import polars as pl
import pytest
import s3fs
from filelock import FileLock
from polars.testing import assert_frame_equal
from typer.testing import CliRunner

from champion.cli.main import app
from champion.model.model import Model, is_positive
from champion.model.onnx_scorer import MANIFEST
from champion.registry.versions import ONNX_FILE
from champion.serving import table_files
from champion.serving.journal import Journal
from champion.serving.local_copies import identify
from support.delivery import DeliveryProject, InState
from support.refusals import one_line
from support.results import people
from support.s3 import Bucket, running_server

ANSWER = ["probability", "decision", "out_of_scope", "version"]
# A batch has few rows here, so that a small table has many.
ROWS = 100
SMALL = f"from champion.serving import table_files; table_files.ROWS = {ROWS}"


def odd_people(rows: int = 1000) -> pl.DataFrame:
    """Rows with missing, infinite and unseen values, and with columns that the model does not read."""
    table = people(rows, 7, 50_000, date(2021, 1, 1)).drop("answer")
    number = pl.col("person")
    return table.with_columns(
        income=pl.when(number % 7 != 0).then("income"),
        age=pl.when(number % 11 == 0).then(float("inf")).otherwise("age"),
        noise=pl.when(number % 13 == 0).then(float("nan")).otherwise("noise"),
        region=pl.when(number % 5 == 0).then(pl.lit('Überall, "nah"')).otherwise("region"),
        note=pl.when(number % 3 != 0).then(pl.lit("007")),
    )


@pytest.fixture
def served(in_state: InState, monkeypatch: pytest.MonkeyPatch) -> DeliveryProject:
    """A project whose staging serves v1."""
    project = in_state("staged")
    monkeypatch.chdir(project.root)
    monkeypatch.setenv("ENVIRONMENT", "staging")
    return project


def score(*arguments: object, batch_rows: int = 300) -> str:
    """What the command prints, in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table_files, "ROWS", batch_rows)
        patch.setattr(table_files, "CSV_BLOCK", 20_000)
        result = CliRunner().invoke(app, ["score", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def refused(*arguments: object) -> str:
    """The sentence with which the command refuses; it leaves nothing beside the input."""
    folder = Path(str(arguments[0])).parent
    before = snapshot(folder)
    result = CliRunner().invoke(app, ["score", *map(str, arguments)])
    assert isinstance(result.exception, SystemExit), result.exception
    assert snapshot(folder) == before
    # Click prints what the exception says.
    return one_line(f"{result.exception.code}\n" if isinstance(result.exception.code, str) else result.stderr)


def snapshot(folder: Path) -> dict[str, bytes]:
    """The files of the folder; none if it is not on this machine."""
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.is_dir() else {}


def expected(model: Model, rows: pl.DataFrame) -> pl.DataFrame:
    probability = model.predict(rows)
    kept = rows.drop("income", "age", "noise", "region")
    return kept.with_columns(
        probability=probability,
        decision=is_positive(probability, model.manifest.cut),
        out_of_scope=pl.lit(None, pl.String),
        version=pl.lit("v1"),
    )


def register_with_exclusions(project: DeliveryProject) -> str:
    """Register v1 once more, with rules for rows that it is not made for."""
    registry = project.staging
    first = registry.resolve("v1")
    file = onnx.load_from_string(registry.read_file(first, ONNX_FILE))
    manifest = json.loads({one.key: one.value for one in file.metadata_props}[MANIFEST])
    manifest["exclusions"] = {
        "too old": {"age": {"above": 1e300}},
        "eastern, later": {"region": "east", "person": {"above": 50_499.5}},
    }
    onnx.helper.set_model_props(file, {MANIFEST: json.dumps(manifest)})
    content = file.SerializeToString()
    sha256 = hashlib.sha256(content).hexdigest()
    registry.files.write(f"{sha256}/{ONNX_FILE}", content)
    details = dict(registry.rows[0].details) | {"files": {**first.files, ONNX_FILE: sha256}}
    with registry.ledger.appending() as session:
        session.append("register", version="v2", model_sha256=first.model_sha256, details=details)
    return "v2"


def test_every_row_is_scored_as_the_model_does(served: DeliveryProject, tmp_path: Path) -> None:
    rows, source, target = odd_people(), tmp_path / "Zeilen für März.parquet", tmp_path / "Antwort 書.parquet"
    # As in a file of pandas with categories.
    rows.with_columns(pl.col("region", "note").cast(pl.Categorical)).write_parquet(source)
    said = score(source, target)
    answer = pl.read_parquet(target)
    assert answer.columns == ["person", "day", "note", *ANSWER]
    assert_frame_equal(answer, expected(served.staging.load_model("v1"), rows), abs_tol=1e-9)
    assert answer["decision"].n_unique() == 2
    infinite = rows["age"].is_infinite().sum()
    assert said.startswith(f"1,000 rows scored with v1: 0 out of scope, {infinite} invalid values emptied, ")
    assert {path.name for path in tmp_path.iterdir() if "parquet" in path.name} == {source.name, target.name}


def test_csv_and_parquet_are_read_and_written_alike(served: DeliveryProject, tmp_path: Path) -> None:
    # CSV has no infinite number and no NaN.
    rows = odd_people().with_columns(pl.when(pl.col("age", "noise").is_finite()).then(pl.col("age", "noise")))
    rows.write_parquet(tmp_path / "in.parquet")
    rows.with_columns(pl.col("income").cast(pl.String).fill_null("NA")).write_csv(tmp_path / "in.csv")
    answers = []
    for source in ("in.parquet", "in.csv"):
        for target in ("out.parquet", "out.csv"):
            score(tmp_path / source, tmp_path / target)
            read = pl.read_parquet if target == "out.parquet" else partial(pl.read_csv, infer_schema=False)
            answers.append(read(tmp_path / target).select(pl.all().cast(pl.String)))
    assert answers[0]["note"].drop_nulls().unique().to_list() == ["007"]
    for answer in answers[1:]:
        numbers = [one.select(pl.col("probability").cast(pl.Float64)) for one in (answer, answers[0])]
        # The last digit depends on how many rows are computed at once.
        assert_frame_equal(*numbers, abs_tol=1e-12)
        assert_frame_equal(answer.drop("probability"), answers[0].drop("probability"))


def test_a_row_that_training_excludes_is_out_of_scope(served: DeliveryProject, tmp_path: Path) -> None:
    name = register_with_exclusions(served)
    rows, source, target = odd_people(), tmp_path / "in.parquet", tmp_path / "out.parquet"
    rows.write_parquet(source)
    said = score(source, target, "--version", name)
    answer = pl.read_parquet(target)
    # A rule reads a value before it is emptied.
    rule = pl.when(pl.col("age").is_infinite()).then(pl.lit("too old")).when(pl.col("region") == "east")
    rule = rule.then(pl.when(pl.col("person") >= 50_500).then(pl.lit("eastern, later")))
    assert answer["out_of_scope"].to_list() == rows.select(rule).to_series().to_list()
    scope = answer["out_of_scope"].is_null()
    assert answer["out_of_scope"].n_unique() == 3
    assert answer.filter(~scope)["probability"].null_count() == answer.filter(~scope)["decision"].null_count()
    assert answer.filter(~scope)["probability"].null_count() == (~scope).sum()
    probability = served.staging.load_model("v1").predict(rows.filter(scope))
    np.testing.assert_allclose(answer.filter(scope)["probability"].to_numpy(), probability, rtol=0, atol=1e-9)
    assert f" {(~scope).sum()} out of scope" in said


def test_a_column_that_only_a_rule_reads_is_needed(served: DeliveryProject, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    odd_people(10).drop("person").write_parquet(folder / "in.parquet")
    said = refused(folder / "in.parquet", folder / "out.parquet", "--version", register_with_exclusions(served))
    assert said.endswith("v2 needs the column 'person', which is missing. Add it.\n")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda rows: rows.drop("age"), "in.parquet: v1 needs the column 'age', which is missing. Add it."),
        (
            lambda rows: rows.with_columns(pl.col("age").cast(pl.String)),
            "in.parquet: the column 'age' holds large_string, but v1 needs a number. Convert the column.",
        ),
        (
            lambda rows: rows.with_columns(region=1.5),
            "in.parquet: the column 'region' holds double, but v1 needs text. Convert the column.",
        ),
        (
            lambda rows: rows.with_columns(version=1),
            "in.parquet: the column 'version' has the name of a column of the answer. Rename it.",
        ),
    ],
)
def test_a_wrong_table_is_refused_before_a_row_is_scored(
    served: DeliveryProject, tmp_path: Path, change: Any, sentence: str
) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    change(odd_people(10)).write_parquet(folder / "in.parquet")
    assert refused(folder / "in.parquet", folder / "out.parquet").endswith(f"/{sentence}\n")


def test_an_environment_that_serves_nothing_needs_a_version(served: DeliveryProject, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    odd_people(10).write_parquet(folder / "in.parquet")
    said = refused(folder / "in.parquet", folder / "out.parquet", "--env", "production")
    assert said == "error: production serves no version yet. Name one with --version.\n"


def test_a_wrong_value_in_the_middle_leaves_nothing(served: DeliveryProject, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    rows = odd_people().with_columns(pl.col("age").cast(pl.String), noise=pl.lit(None), row=pl.int_range(1, 1001))
    rows = rows.with_columns(
        age=pl.when(pl.col("row") == 700).then(pl.lit("old")).when(pl.col("age") != "inf").then("age")
    )
    rows.write_csv(folder / "in.csv")
    said = refused(folder / "in.csv", folder / "out.csv")
    assert said.endswith("/in.csv: 'old' in row 700 of column 'age' is not a number. Correct it.\n")


def test_an_empty_table_has_an_empty_answer(served: DeliveryProject, tmp_path: Path) -> None:
    odd_people(10).clear().write_parquet(tmp_path / "in.parquet")
    odd_people(10).clear().write_csv(tmp_path / "in.csv")
    for name in ("in.parquet", "in.csv"):
        assert score(tmp_path / name, tmp_path / "out.parquet").startswith("0 rows scored")
        answer = pl.read_parquet(tmp_path / "out.parquet")
        assert answer.columns == ["person", "day", "note", *ANSWER]
        assert answer.is_empty()


def start(source: Path, target: Path) -> subprocess.Popen[bytes]:
    """The same command as a process of its own."""
    command = f"{SMALL}; import sys; from champion.cli.main import app; app(['score', *sys.argv[1:]])"
    return subprocess.Popen([sys.executable, "-c", command, source, target])


def kill_at(size: int, source: Path, target: Path) -> None:
    """Score in a process, and kill it as soon as its journal has that many bytes."""
    journal = target.with_name(f"{target.name}.journal")
    process = start(source, target)
    while not (journal.exists() and journal.stat().st_size >= size):
        assert process.poll() is None, "the process ended before it could be killed"
        time.sleep(0.002)
    process.kill()
    assert process.wait() < 0
    assert not target.exists()


@pytest.fixture
def many(served: DeliveryProject, tmp_path: Path) -> tuple[Path, bytes]:
    """A table of 300 batches, and the answer of a run that nobody interrupts."""
    source, target = tmp_path / "in.parquet", tmp_path / "calm.parquet"
    pl.concat([odd_people()] * 30).write_parquet(source)
    score(source, target, batch_rows=ROWS)
    return source, target.read_bytes()


def test_a_killed_run_goes_on_without_losing_or_doubling_a_row(many: tuple[Path, bytes], tmp_path: Path) -> None:
    source, calm = many
    target = tmp_path / "out.parquet"
    for size in (1, 40_000, 110_000, 180_000):
        kill_at(size, source, target)
    said = score(source, target, batch_rows=ROWS)
    assert target.read_bytes() == calm
    found = re.match(r"an earlier run was not finished: its ([0-9,]+) scores in out\.parquet\.journal are used\n", said)
    assert found is not None
    assert int(found[1].replace(",", "")) > 20_000
    left = {path.name for path in tmp_path.iterdir() if "out.parquet" in path.name}
    assert left == {"out.parquet"}


def test_a_score_in_the_journal_is_not_computed_again(served: DeliveryProject, tmp_path: Path) -> None:
    source, target = tmp_path / "in.parquet", tmp_path / "out.parquet"
    odd_people().write_parquet(source)
    model = served.staging.resolve("v1").files[ONNX_FILE]
    with Journal.open(tmp_path / "out.parquet.journal", {"input": identify(str(source)), "model": model}) as journal:
        journal.append(np.full(ROWS, 0.125))
    assert "its 100 scores" in score(source, target, batch_rows=ROWS)
    assert (pl.read_parquet(target)["probability"] == 0.125).arg_true().to_list() == list(range(ROWS))


@pytest.mark.sweep
def test_a_damaged_end_of_the_journal_is_scored_again(many: tuple[Path, bytes], tmp_path: Path) -> None:
    source, calm = many
    target, journal = tmp_path / "out.parquet", tmp_path / "out.parquet.journal"
    kill_at(100_000, source, target)
    content = journal.read_bytes()
    changed = content[:-20] + bytes([content[-20] ^ 1]) + content[-19:]
    for damaged in (content[:-3], changed, content + bytes(500), content + b"no scores" * 100):
        journal.write_bytes(damaged)
        assert "an earlier run was not finished" in score(source, target, batch_rows=ROWS)
        assert target.read_bytes() == calm


@pytest.mark.sweep
def test_the_journal_of_another_input_or_version_is_not_used(
    served: DeliveryProject, many: tuple[Path, bytes], tmp_path: Path
) -> None:
    source, calm = many
    target, journal = tmp_path / "out.parquet", tmp_path / "out.parquet.journal"
    other = register_with_exclusions(served)
    kill_at(20_000, source, target)
    kept = shutil.copy2(journal, tmp_path / "kept")
    warning = "out.parquet.journal was about another input or model, so every row is scored anew\n"
    assert score(source, target, "--version", other, batch_rows=ROWS).startswith(warning)
    assert pl.read_parquet(target)["out_of_scope"].n_unique() == 3
    shutil.copy2(kept, journal)
    source.touch()
    assert score(source, target, batch_rows=ROWS).startswith(warning)
    assert target.read_bytes() == calm


def test_a_second_run_for_the_same_file_is_refused(served: DeliveryProject, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    odd_people(10).write_parquet(folder / "in.parquet")
    with FileLock(folder / ".out.parquet.lock"):
        said = refused(folder / "in.parquet", folder / "out.parquet")
    assert said.endswith("/out.parquet. Wait until it ends.\n")


def test_a_file_on_s3_is_scored_to_s3(served: DeliveryProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = odd_people()
    rows.write_parquet(tmp_path / "in.parquet")
    score(tmp_path / "in.parquet", tmp_path / "out.parquet")
    with running_server(tmp_path / "s3", "tables") as server:
        for name, value in (server.environment | {"AWS_DEFAULT_REGION": "us-east-1"}).items():
            monkeypatch.setenv(name, value)
        s3fs.S3FileSystem.clear_instance_cache()
        bucket = Bucket(server)
        bucket.write("new/März.parquet", (tmp_path / "in.parquet").read_bytes())
        score("s3://tables/new/März.parquet", "s3://tables/scored/März.parquet")
        assert bucket.read("scored/März.parquet") == (tmp_path / "out.parquet").read_bytes()
        assert "no such file" in refused("s3://tables/new/none.parquet", "s3://tables/scored/none.parquet")
        assert bucket.keys() == {"new/März.parquet", "scored/März.parquet"}
    assert not [path for path in (served.root / "var/score").rglob("*") if path.is_file()]
