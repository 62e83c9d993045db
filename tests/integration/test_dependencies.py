"""dvc.yaml names everything that can change a stage's result, and nothing more."""

import ast
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from champion.core.strict_yaml import Sections
from champion.params import STAGES
from champion.pipeline.ingest.params import IngestParams
from champion.pipeline.train.params import TrainParams
from champion.retraining.replay.cards import CardParams
from champion.retraining.replay.params import Dates, Judging, ReplayParams
from champion.retraining.replay.walk import WalkParams
from support.project import REPOSITORY, Project

PIPELINE = "champion.pipeline"
REPLAY = "champion.retraining.replay"

# This runs in its own process, because grimp finds the package where Python would import it from. Imports inside
# functions count. Imports for type checkers do not count, as they never run.
IMPORTS = """
import json, sys, grimp
graph = grimp.build_graph(
    "champion", include_external_packages=True, exclude_type_checking_imports=True, cache_dir=None
)
print(json.dumps({stage: sorted(graph.find_upstream_modules(stage) | {stage}) for stage in sys.argv[1:]}))
"""

# With these modules, a result could depend on the time or the machine.
IMPURE = {
    "time",
    "random",
    "secrets",
    "uuid",
    "socket",
    "ssl",
    "http",
    "urllib",
    "urllib3",
    "requests",
    "httpx",
    "boto3",
    "mlflow",
}
# What each stage of the replay reads of its own params.yaml, and of the repository's.
REPLAYED: dict[str, tuple[type[Sections] | None, type[Sections]]] = {
    "table": (Dates, IngestParams),
    "candidate": (None, TrainParams),
    "cards": (Judging, CardParams),
    "walk": (ReplayParams, WalkParams),
}
CLOCK_CALLS = {"now", "today", "utcnow", "time", "time_ns", "getpid", "gethostname"}


def stages_of(folder: Path) -> dict[str, dict[str, Any]]:
    return dict(YAML(typ="safe").load(folder / "dvc.yaml")["stages"])


def replay_stages(folder: Path) -> dict[str, dict[str, Any]]:
    """The stages of the replay, of which one can run once for each of its items; `src` is a link there."""
    return {f"replay/{name}": stage.get("do", stage) for name, stage in stages_of(folder / "replay").items()}


def imports_of_stages(project: Project) -> dict[str, list[str]]:
    """Every module that each stage imports, directly or indirectly, including its own."""
    modules = {name: f"{PIPELINE}.{name}.__main__" for name in stages_of(project.folder)}
    modules |= {name: name.replace("replay/", f"{REPLAY}.") for name in replay_stages(project.folder)}
    found = json.loads(project.run("python", "-c", IMPORTS, *modules.values()).stdout)
    return {name: found[module] for name, module in modules.items()}


def source_of(module: str, folder: Path) -> Path:
    path = folder / "src" / Path(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def wrong_dependencies(project: Project) -> list[str]:
    """How dvc.yaml's code dependencies differ from what the stages import; empty when they do not."""
    wrong = set()
    stages = stages_of(project.folder) | replay_stages(project.folder)
    for name, modules in imports_of_stages(project).items():
        files = {source_of(module, project.folder) for module in modules if module.split(".")[0] == "champion"}
        # Importing a module first runs its packages. Most are empty, so that no other folder must be listed.
        packages = {parent / "__init__.py" for path in files for parent in path.parents if "champion" in parent.parts}
        packages &= set((project.folder / "src").rglob("__init__.py"))
        files = files - packages | {path for path in packages if path.read_text(encoding="utf-8")}
        imported = [path.relative_to(project.folder).as_posix() for path in sorted(files)]
        declared = [dep for dep in stages[name]["deps"] if dep.startswith("src/")]
        within = {path: [dep for dep in declared if f"{path}/".startswith(f"{dep}/")] for path in imported}
        wrong |= {f"{name} lacks {path}" for path, deps in within.items() if not deps}
        used = {dep for deps in within.values() for dep in deps}
        wrong |= {f"{name} imports nothing of {dep}" for dep in declared if dep not in used}
    return sorted(wrong)


def test_own_code_is_declared_by_the_stages_that_run_it() -> None:
    stages = stages_of(REPOSITORY) | replay_stages(REPOSITORY)
    fitting = {"train", "refit", "rehearse", "replay/candidate", "replay/cards"}
    assert {name for name, stage in stages.items() if "own" in stage["deps"]} == {"ingest", "replay/table"} | fitting


def impurities(project: Project) -> list[str]:
    """The stages that import modules for the clock, randomness or the network, with these modules."""
    found = set()
    for name, modules in imports_of_stages(project).items():
        found |= {f"{name} imports {module}" for module in modules if module.split(".")[0] in IMPURE}
        for module in modules:
            if module.split(".")[0] == "champion":
                tree = ast.parse(source_of(module, project.folder).read_text(encoding="utf-8"))
                calls = [n.func for n in ast.walk(tree) if isinstance(n, ast.Call)]
                names = {call.attr for call in calls if isinstance(call, ast.Attribute)}
                found |= {f"{module} calls {call}()" for call in names & CLOCK_CALLS}
    return sorted(found)


def declared_sections(stage: str) -> list[str]:
    """The fields of the class with which the stage reads params.yaml; none if it does not read it."""
    sections = STAGES.get(stage)
    code = (REPOSITORY / f"src/champion/pipeline/{stage}/__main__.py").read_text(encoding="utf-8")
    assert code.count(", PARAMS)") == (sections is not None)
    assert sections is None or f"read({sections.__name__}, PARAMS)" in code
    return [] if sections is None else list(sections.model_fields)


def test_each_stage_depends_on_the_folders_it_imports() -> None:
    assert wrong_dependencies(Project(REPOSITORY)) == []


def test_each_stage_depends_on_the_environment() -> None:
    environment = {"requirements/runtime.txt", "../requirements/runtime.txt"}
    stages = stages_of(REPOSITORY) | replay_stages(REPOSITORY)
    assert [name for name, stage in stages.items() if environment.isdisjoint(stage["deps"])] == []


@pytest.mark.parametrize("stage", stages_of(REPOSITORY))
def test_each_stage_tracks_exactly_the_params_it_reads(stage: str) -> None:
    assert sorted(stages_of(REPOSITORY)[stage].get("params", [])) == sorted(declared_sections(stage))


@pytest.mark.parametrize(("stage", "sections"), REPLAYED.items())
def test_each_stage_of_the_replay_tracks_the_params_it_reads(
    stage: str, sections: tuple[type[Sections] | None, type[Sections]]
) -> None:
    code = source_of(f"{REPLAY}.{stage}", REPOSITORY).read_text(encoding="utf-8")
    own, shared = sections
    assert [one.__name__ for one in sections if one and f"read({one.__name__}, " not in code] == []
    tracked = replay_stages(REPOSITORY)[f"replay/{stage}"]["params"]
    names = [name.replace("policies.${key}", "policies") for name in tracked if isinstance(name, str)]
    assert sorted(names) == sorted(own.model_fields if own else [])
    (others,) = [one["../params.yaml"] for one in tracked if isinstance(one, dict)]
    # The replay has dates of its own.
    assert sorted(others) == sorted(set(shared.model_fields) - {"as_of"})


def test_no_stage_reads_the_clock_or_the_network() -> None:
    assert impurities(Project(REPOSITORY)) == []


def _append(path: str, text: str) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        with (folder / path).open("a", encoding="utf-8") as stream:
            stream.write(text)

    return edit


def _depend_on_too_much(folder: Path) -> None:
    text = (folder / "dvc.yaml").read_text(encoding="utf-8")
    dep = "      - src/champion/pipeline/train\n"
    assert dep in text
    (folder / "dvc.yaml").write_text(text.replace(dep, f"{dep}      - src/champion/report\n", 1))


@pytest.mark.parametrize(
    ("edit", "complaint"),
    [
        (
            _append(
                "src/champion/pipeline/train/stage.py", "\nfrom champion.pipeline.validate.leaks import separation\n"
            ),
            "train lacks src/champion/pipeline/validate/leaks.py",
        ),
        (
            _append(
                "src/champion/model/features.py",
                "\n\ndef late():\n    from champion.report import tables\n    return tables\n",
            ),
            "train lacks src/champion/report/tables.py",
        ),
        (_depend_on_too_much, "train imports nothing of src/champion/report"),
        (
            _append("src/champion/retraining/__init__.py", "X = 1\n"),
            "replay/table lacks src/champion/retraining/__init__.py",
        ),
        (_append("src/champion/__init__.py", "X = 1\n"), "train lacks src/champion/__init__.py"),
    ],
    ids=["import", "import in a function of an imported module", "needless dependency", "package", "top package"],
)
def test_a_wrong_dependency_is_reported(project: Project, edit: Callable[[Path], None], complaint: str) -> None:
    edit(project.folder)
    assert complaint in wrong_dependencies(project)


def test_an_import_for_type_checkers_alone_is_no_dependency(project: Project) -> None:
    before = wrong_dependencies(project)
    _append(
        "src/champion/pipeline/train/stage.py",
        "\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from champion.pipeline.validate import leaks\n",
    )(project.folder)
    assert wrong_dependencies(project) == before


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("import time", "train imports time"),
        ("import urllib.request", "train imports urllib"),
        ("from datetime import date; TODAY = date.today()", "champion.pipeline.train.stage calls today()"),
    ],
)
def test_a_clock_or_a_network_in_a_stage_is_reported(project: Project, line: str, complaint: str) -> None:
    _append("src/champion/pipeline/train/stage.py", f"\n{line}\n")(project.folder)
    assert complaint in impurities(project)


def test_a_new_section_that_is_no_stage_reruns_no_stage(sample_run: Project, tmp_path: Path) -> None:
    project = sample_run.copy_to(tmp_path / "project")
    _append("params.yaml", "\nserving: { workers: 2 }\n")(project.folder)
    path = project.folder / "src/champion/params.py"
    section = "    compare: Compare = Compare()\n"
    code = path.read_text(encoding="utf-8")
    assert section in code
    path.write_text(code.replace(section, f"{section}    serving: dict[str, int]\n"), encoding="utf-8")
    assert project.run("champion", "check").stdout == "params.yaml: valid\n"
    assert json.loads(project.run("dvc", "status", "--json").stdout) == {}
