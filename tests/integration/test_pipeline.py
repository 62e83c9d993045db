"""The whole pipeline, as a user runs it."""

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from ruamel.yaml import YAML

from champion.core.metrics_file import read_metrics
from support.project import EXAMPLE, Project
from support.refusals import snapshot

STAGES = ["ingest", "prepare", "validate", "train", "refit", "package", "rehearse", "evaluate", "export"]
ALL, MODEL, PACKAGE, EVALUATE = STAGES, STAGES[3:], ["package", "evaluate", "export"], ["evaluate"]

# A param, a value for it that is not the default, and the stages that its change reruns. Of changes to `ingest` only
# what reads the source is certain to rerun: the rest follows when other rows come out.
RERUNS: list[tuple[str, Any, list[str]]] = [
    ("as_of", "2009-12-01", ALL),
    ("window", 60, ALL),
    ("columns.employees.range", [0, 4000], ALL),
    ("label.horizon", 30, ALL),
    ("ingest.date_format", "%d-%b-%y", ["ingest"]),
    ("ingest.exclude.debentures.amount_approved.above", 50000, ["ingest"]),
    ("split.test", 10, ALL),
    ("prepare.drop_duplicates", True, ALL[1:]),
    ("contract.leak_auc", 0.86, ["validate"]),
    ("contract.columns.lender.max_missing", 0.5, ["validate"]),
    ("train.estimator", "random_forest", MODEL),
    ("train.hist_gradient_boosting.max_iter", 5, MODEL),
    ("train.seed", 1, MODEL),
    ("train.calibration", "sigmoid", MODEL),
    ("train.search.grid.max_leaf_nodes", [7], MODEL),
    ("decision.share", 0.2, PACKAGE),
    ("evaluate.seed", 1, EVALUATE),
    ("evaluate.population", ["Everybody."], EVALUATE),
    ("gates.roc_auc_low.above", 0.6, EVALUATE),
    ("compare.tolerances.roc_auc", 0.02, []),
    ("challenge.margin", 0.02, []),
    ("monitoring.min_rows", 100, []),
]

# What a stage hands on changes with these, so that DVC finds the stages behind it stale only once it has run.
HANDS_ON = {"prepare": STAGES[2:], "train": STAGES[4:], "package": STAGES[7:]}


@pytest.fixture(scope="module")
def copied(sample_run: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy of the run on a sample, for the tests of this module to change and put back."""
    return sample_run.copy_to(tmp_path_factory.mktemp("pipeline") / "copy")


@pytest.fixture
def project(copied: Project) -> Iterator[Project]:
    """The copy, with the params, metrics, data and lock of the run on a sample."""
    yield copied
    copied.run("git", "checkout", "--quiet", ".")
    copied.run("dvc", "checkout", "--force", "--quiet")


def set_param(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def edit(params: dict[str, Any]) -> None:
        *sections, last = key.split(".")
        for section in sections:
            params = params[section]
        params[last] = value

    return edit


def stale(project: Project) -> list[str]:
    """The stages DVC would run, in order: those it calls changed, and those behind what these hand on."""
    from dvc.repo import Repo

    with contextlib.chdir(project.folder), Repo() as repo:
        changed = list(repo.status())
    behind = {name for stage in changed for name in HANDS_ON.get(stage, [])}
    return [name for name in STAGES if name in behind.union(changed)]


def outputs(project: Project) -> dict[str, str]:
    """Every output that a person or a later stage reads, with its hash."""
    kept = ("metrics/", "models/", "data/prepared", "data/raw", "data/validated")
    return {name: digest for name, digest in snapshot(project).items() if name.startswith(kept)}


@pytest.mark.example
def test_the_real_run_gives_the_committed_outputs_bit_for_bit(real_run: Project) -> None:
    assert real_run.run("git", "status", "--porcelain").stdout == ""


def test_a_second_run_computes_nothing(project: Project) -> None:
    output = project.repro().stdout
    assert project.ran(output) == []
    assert "Data and pipelines are up to date" in output


def test_every_param_is_in_the_table_of_reruns() -> None:
    assert {key.split(".")[0] for key, _, _ in RERUNS} == set(YAML(typ="safe").load(EXAMPLE / "params.yaml"))


@pytest.mark.parametrize(("key", "value", "stages"), RERUNS, ids=[key for key, _, _ in RERUNS])
def test_a_changed_param_makes_exactly_its_stages_stale(
    copied: Project, key: str, value: Any, stages: list[str]
) -> None:
    copied.edit_params(set_param(key, value))
    try:
        assert stale(copied) == stages
    finally:
        copied.run("git", "checkout", "--quiet", "params.yaml")


def test_another_decision_fits_nothing_again(project: Project) -> None:
    project.edit_params(lambda params: params.update(decision={"maximise": "f1"}))
    before = outputs(project)
    assert project.ran(project.repro().stdout) == PACKAGE
    changed = {name for name, digest in outputs(project).items() if before.get(name) != digest}
    assert {"models/model.skops", "models/rehearsed.skops", "metrics/decision.json"} <= changed
    assert not any(name.startswith(("data/", "models/train", "models/refit")) for name in changed)


def test_an_export_that_fails_costs_no_metric(project: Project) -> None:
    before = read_metrics(project.folder / "metrics/evaluation.json")
    code = project.folder / "src/champion/pipeline/export/stage.py"
    spoilt = code.read_text(encoding="utf-8").replace("if not largest <= TOLERANCE", "if True")
    code.write_text(spoilt, encoding="utf-8")
    project.edit_params(set_param("decision.share", 0.2))
    result = project.repro(check=False)
    assert result.returncode != 0
    assert "the ONNX file answers otherwise than the model" in result.stderr
    assert project.ran(result.stdout) == PACKAGE
    assert read_metrics(project.folder / "metrics/evaluation.json")["recall"] > before["recall"]


def test_another_grid_that_chooses_the_same_recipe_refits_nothing(project: Project) -> None:
    project.edit_params(set_param("train.search.grid", {"max_leaf_nodes": [9]}))
    assert "refit" not in project.ran(project.repro("rehearse", "package").stdout)


def test_a_param_that_changes_no_row_reruns_ingest_alone(project: Project) -> None:
    project.edit_params(set_param("ingest.date_format", "%d-%b-%y"))
    assert project.ran(project.repro().stdout) == ["ingest"]


def test_a_changed_source_that_gives_the_same_rows_reruns_ingest_alone(project: Project) -> None:
    path = project.folder / "data/source/loans.csv"
    pl.read_csv(path, infer_schema=False).with_columns(Name=pl.lit("Somebody")).write_csv(path)
    assert project.ran(project.repro().stdout) == ["ingest"]


def test_a_changed_source_reruns_everything(project: Project) -> None:
    path = project.folder / "data/source/loans.csv"
    pl.read_csv(path, infer_schema=False).filter(pl.col("State") != "VT").write_csv(path)
    assert project.ran(project.repro("prepare").stdout) == ["ingest", "prepare"]
    assert stale(project) == STAGES[2:]


def test_a_failed_contract_stops_what_follows_until_the_input_is_put_back(project: Project) -> None:
    before, params = outputs(project), (project.folder / "params.yaml").read_text(encoding="utf-8")
    project.edit_params(set_param("contract.class_share", [0.5, 0.6]))
    project.edit_params(set_param("train.seed", 1))
    result = project.repro(check=False)
    assert result.returncode != 0
    assert project.ran(result.stdout) == ["validate"]
    assert "class" in result.stderr or "target" in result.stderr
    assert "Traceback" not in result.stderr
    assert "Nothing is lost: undo or correct your change, then run `dvc repro`." in result.stderr
    (project.folder / "params.yaml").write_text(params, encoding="utf-8")
    assert project.ran(project.repro().stdout) == []
    assert outputs(project) == before


@pytest.mark.sweep
def test_a_param_that_is_put_back_runs_nothing_in_a_fresh_clone(sample_run: Project, tmp_path: Path) -> None:
    project = Project(tmp_path / "clone")
    sample_run.run("git", "clone", "--quiet", str(sample_run.folder), str(project.folder))
    assert project.ran(project.repro().stdout) == STAGES
    before = outputs(project)
    project.edit_params(set_param("train.hist_gradient_boosting.max_iter", 12))
    assert project.ran(project.repro().stdout) == MODEL
    assert outputs(project) != before
    project.run("git", "checkout", "--quiet", "params.yaml")
    assert project.ran(project.repro().stdout) == []
    assert outputs(project) == before


def test_the_shown_metrics_fit_a_terminal_with_the_held_out_ones_first(sample_run: Project) -> None:
    header, first, *_ = sample_run.run("dvc", "metrics", "show").stdout.splitlines()
    assert len(header.split()) <= 12
    assert first.split()[0] == "metrics/evaluation.json"
    assert "-" not in first.split()


def test_a_changed_gate_reruns_evaluate_alone(project: Project) -> None:
    project.edit_params(set_param("gates.roc_auc_low.above", 0.99))
    output = project.repro().stdout
    assert project.ran(output) == EVALUATE
    metrics = read_metrics(project.folder / "metrics/evaluation.json")
    verdicts = json.loads((project.folder / "metrics/gates.json").read_text(encoding="utf-8"))["verdicts"]
    lines = output.splitlines()
    assert f"test: {metrics['rows']:,} rows, {metrics['base_rate']:.2%} positive" in lines
    auc = f"{metrics['roc_auc']:.4f}  [{metrics['roc_auc_low']:.4f}, {metrics['roc_auc_high']:.4f}]"
    assert [line.endswith(auc) for line in lines if "ROC AUC" in line] == [True]
    shown = {line.split()[1]: line.split()[2] for line in lines if line.startswith("  gate ")}
    assert shown == {verdict["metric"]: "pass" if verdict["passed"] else "FAIL" for verdict in verdicts}
    assert shown["roc_auc_low"] == "FAIL"


def test_the_run_ends_with_every_output_a_person_reads(sample_run: Project) -> None:
    names = ["decision", "evaluation", "export", "gates", "rehearsals", "segments", "stability"]
    names += ["training", "validation"]
    found = sorted(path.name for path in (sample_run.folder / "metrics").iterdir() if path.name != "plots")
    assert found == [f"{name}.json" for name in names]
    assert (sample_run.folder / "models/model_card.md").is_file()
