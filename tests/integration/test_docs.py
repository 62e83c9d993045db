"""The docs are true."""

import ast
import importlib.util
import json
import re
from importlib.metadata import distribution
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from champion.core.metrics_file import read_metrics
from champion.core.strict_yaml import read
from champion.core.yaml_text import parse_yaml
from champion.params import Params
from champion.pipeline.evaluate.stage import summary
from support.project import REPOSITORY, Project
from support.warm import warm

BENCHMARKS = sorted((REPOSITORY / "benchmarks").glob("*.py"))
PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
OTHERS = [REPOSITORY / name for name in ("CONTRIBUTING.md", "SECURITY.md")]


def blocks(page: str, language: str) -> list[str]:
    """The fenced code blocks of a page in a language."""
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def docs_builder() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_build", REPOSITORY / "docs/build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_command_reference_is_what_the_commands_say() -> None:
    assert (REPOSITORY / "docs/reference.md").read_text(encoding="utf-8") == docs_builder().reference()


@pytest.mark.example
def test_the_tables_of_the_replay_are_its_committed_results() -> None:
    assert (REPOSITORY / "docs/replay.md").read_text(encoding="utf-8") == docs_builder().replay()


@pytest.mark.example
def test_the_readme_quotes_the_committed_metrics() -> None:
    metrics = read_metrics(REPOSITORY / "metrics/evaluation.json")
    verdicts = json.loads((REPOSITORY / "metrics/gates.json").read_text(encoding="utf-8"))["verdicts"]
    assert summary(metrics, {verdict["metric"]: verdict for verdict in verdicts}) + "\n" in blocks("README.md", "text")


@pytest.mark.example
def test_the_readme_explains_its_first_figures() -> None:
    text = " ".join((REPOSITORY / "README.md").read_text(encoding="utf-8").split())
    test = read_metrics(REPOSITORY / "metrics/evaluation.json")
    for told in (
        f"the {test['rows']:,} loans of 2008, of which {test['base_rate']:.2%} defaulted",
        f"**ROC AUC {test['roc_auc']:.4f}",
        f"in {test['roc_auc'] * 100:.0f} of 100 such pairs",
        f"**Share flagged {test['flagged_share']:.4f}, precision {test['precision']:.4f}**",
        f"and {test['precision'] * 100:.0f} of 100 flagged ones defaulted",
        f"**Recall {test['recall']:.4f}**: that is {test['recall'] * 100:.0f} of 100 defaults",
        f"**Brier skill {test['brier_skill']:.4f}**: its probabilities are {test['brier_skill']:.2%} closer",
    ):
        assert told in text, told


@pytest.mark.example
def test_the_readme_says_what_came_true_of_the_promise() -> None:
    text = " ".join((REPOSITORY / "README.md").read_text(encoding="utf-8").split())
    table = (REPOSITORY / "docs/replay.md").read_text(encoding="utf-8")
    promised, realised, share = re.findall(
        r"^\| 2011-01-01 \| [^|]+\| ([^|]+) \| ([\d.]+) \| yes \| ([\d.]+) \|", table, re.M
    )[0]
    low, high = promised.split(" to ")
    assert f"a ROC AUC between {low} and {high} for one more year, and it came to {realised}." in text
    assert f"of 100 expected defaults, {float(share) * 100:.0f} came" in text


@pytest.mark.example
def test_the_docs_say_what_flagging_nobody_is_worth() -> None:
    text = " ".join((REPOSITORY / "docs/adapt-to-your-data.md").read_text(encoding="utf-8").split())
    test, training = (read_metrics(REPOSITORY / f"metrics/{name}.json") for name in ("evaluation", "training"))
    negative = 1 - test["base_rate"]
    for told in (
        f"Of the test, {test['base_rate']:.2%} are positive",
        f"nobody has an accuracy of {negative:.1%}; the model, which flags a tenth, has {test['accuracy']:.1%}",
        f"of flagging nobody is {2 * negative**2 / (1 + negative):.1%}; that of the model is {test['f1_weighted']:.1%}",
        f"the weighted F1 is {training['f1_weighted']:.1%}",
    ):
        assert told in text


@pytest.mark.parametrize("page", [*PAGES, *OTHERS], ids=lambda page: page.name)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"(?:\]\(|src(?:set)?=\")([^)#:\"]+)[)\"]", text):
        assert (page.parent / target).exists(), target


@pytest.mark.example
def test_the_first_link_of_each_page_leads_on_until_every_page_was_read() -> None:
    page, read_pages = REPOSITORY / "docs/your-table.md", []
    assert "1. [Your table in one command](docs/your-table.md)" in PAGES[0].read_text(encoding="utf-8")
    while page.name != "reference.md":
        assert page not in read_pages
        read_pages.append(page)
        heading, purpose, *_ = page.read_text(encoding="utf-8").split("\n\n")
        assert heading.startswith("# ")
        assert len(purpose) > 60, f"{page.name} says first what it is for"
        last = page.read_text(encoding="utf-8").rpartition("\n## ")[2]
        assert last.startswith("Next\n"), f"{page.name} ends with what to do next"
        page = page.parent / re.findall(r"\]\(([^)#]+)", last)[0]
    assert {*read_pages, page} == {*PAGES[1:]}


@pytest.mark.parametrize("page", [*PAGES, *OTHERS], ids=lambda page: page.name)
def test_every_make_target_and_command_in_the_docs_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    reference = docs_builder().reference()
    for target in re.findall(r"(?:`|\$ )make ([a-z0-9-]+)", text):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target
    for command in re.findall(r"(?:`|\$ )champion ([a-z0-9-]+)", text):
        assert f"## champion {command}\n" in reference or command.startswith("--"), command


@pytest.mark.parametrize("file", BENCHMARKS, ids=lambda file: file.name)
def test_every_benchmark_imports_names_that_exist(file: Path) -> None:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("champion."):
            module = importlib.import_module(str(node.module))
            for name in (alias.name for alias in node.names):
                assert hasattr(module, name) or importlib.util.find_spec(f"{module.__name__}.{name}"), name


@pytest.mark.example
def test_the_benchmark_of_the_whole_file_has_valid_params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(REPOSITORY / "benchmarks")
    importlib.import_module("tables").whole_file(tmp_path)
    assert read(Params, tmp_path / "params.yaml").window == 1200


@pytest.mark.example
def test_the_readme_change_reruns_the_stages_it_says(sample_run: Project, tmp_path: Path) -> None:
    project = sample_run.copy_to(tmp_path / "readme")
    (change,) = [block for block in blocks("README.md", "console") if "dvc metrics diff" in block]
    commands = [line.removeprefix("$ ") for line in change.splitlines() if line.startswith("$ ")]
    edit, repro, diff = commands
    project.run("sh", "-c", edit)
    ran = project.ran(project.run("sh", "-c", repro, environment=warm()).stdout)
    assert set(ran) == {"train", "refit", "rehearse", "package", "evaluate", "export"}
    assert "| metrics/evaluation.json | roc_auc" in project.run("sh", "-c", f"{diff} --md").stdout


@pytest.mark.sweep
def test_the_walk_to_another_table_goes_as_told(project: Project) -> None:
    page = "docs/adapt-to-your-data.md"
    table = distribution("palmerpenguins").locate_file("palmerpenguins/data/penguins-raw.csv")
    (project.folder / "data/source/penguins.csv").write_bytes(Path(str(table)).read_bytes())
    (params,) = blocks(page, "yaml")
    (project.folder / "params.yaml").write_text(params, encoding="utf-8")
    project.champion("check")
    output = project.repro().stdout
    result, breach = blocks(page, "text")
    assert result in output
    for limit in ("    Sex: {max_missing: 0.05}\n", "    Delta 15 N (o/oo): {max_missing: 0.1}\n"):
        params = params.replace(limit, "")
    (project.folder / "params.yaml").write_text(params, encoding="utf-8")
    again = project.stage("validate", check=False, environment=warm())
    assert again.returncode != 0
    assert breach.strip() in again.stderr


def init_as_told(project: Project) -> str:
    """Run the first command of the page about `champion init`, and give what it prints."""
    command = blocks("docs/your-table.md", "console")[0].removeprefix("$ ").strip()
    packages = distribution("palmerpenguins").locate_file("")
    return project.run(
        "sh", "-c", f"{command.replace('.venv/lib/python*/site-packages', str(packages))} --force"
    ).stdout


def test_the_walk_from_a_file_to_a_model_goes_as_told(project: Project) -> None:
    found, result, wrong = blocks("docs/your-table.md", "text")
    assert found in init_as_told(project)
    assert result in project.repro().stdout
    confirmed = blocks("docs/your-table.md", "console")[2].partition("\n")[2]
    assert project.champion("init", "--confirm").stdout == confirmed
    table = project.folder / "data/source/penguins-raw.csv"
    lines = table.read_text(encoding="utf-8").splitlines()
    table.write_text("\n".join([*lines[:2], lines[2].replace(",3800,", ",heavy,"), *lines[3:]]), encoding="utf-8")
    refused = project.stage("ingest", check=False, environment=warm())
    assert refused.returncode == 1
    assert wrong.splitlines()[0] == refused.stderr.splitlines()[0]


@pytest.mark.sweep
def test_the_walk_to_own_code_goes_as_told(project: Project) -> None:
    init_as_told(project)
    for code in blocks("docs/own-code.md", "python"):
        (project.folder / code.partition("\n")[0].removeprefix("# ")).write_text(code, encoding="utf-8")
    for told in map(parse_yaml, blocks("docs/own-code.md", "yaml")):

        def follow(params: dict[str, Any], told: dict[str, Any] = told) -> None:
            params["columns"] = told.pop("columns", params["columns"])
            for section, values in told.items():
                params[section].update(values)

        project.edit_params(follow)
        project.champion("check")
    (result,) = blocks("docs/own-code.md", "text")
    assert result in project.repro().stdout


def test_every_test_that_the_threat_model_names_exists() -> None:
    text = (REPOSITORY / "docs/security.md").read_text(encoding="utf-8")
    named = re.findall(r"`(test_\w+\.py)::(test_\w+)`", text)
    assert len(named) > 20
    for file, test in named:
        (path,) = (REPOSITORY / "tests").rglob(file)
        assert f"def {test}(" in path.read_text(encoding="utf-8"), test
