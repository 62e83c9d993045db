"""Whatever stands in params.yaml: each reader takes it or refuses it in one sentence, and no refusal changes a file."""

import copy
import hashlib
import importlib
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from champion.core.errors import UserError
from champion.core.strict_yaml import Sections, read
from champion.core.yaml_text import parse_yaml
from champion.delivery.challenge import ChallengeParams
from champion.delivery.contest import LabelParams
from champion.delivery.gate import GateParams
from champion.delivery.recent_drift import MonitoringParams
from champion.delivery.recent_performance import PerformanceParams
from champion.delivery.source_rows import RegisteredParams
from champion.params import STAGES, Params, check
from champion.report.comparison import CompareParams
from champion.report.pull_request import ReportParams
from champion.retraining.replay.cards import CardParams
from champion.retraining.replay.walk import WalkParams
from support.project import EXAMPLE
from support.small import small_table

READERS: list[type[Sections]] = [
    *STAGES.values(),
    *(Params, ChallengeParams, LabelParams, GateParams, MonitoringParams, PerformanceParams, RegisteredParams),
    *(CompareParams, ReportParams, CardParams, WalkParams),
]
PARAMS = Path("params.yaml")
REAL: dict[str, Any] = parse_yaml((EXAMPLE / PARAMS).read_text(encoding="utf-8"))
SMALL: dict[str, Any] = {
    "as_of": "2022-07-01",
    "window": 36,
    "ingest": {"source": "file", "path": "cases.csv", "date_format": "%Y-%m-%d", "separator": ","},
    "columns": {
        "case": {"type": "integer", "role": "id"},
        "opened": {"type": "date", "role": "date"},
        "region": {"type": "category", "values": ["north", "south", "east"]},
        "amount": {"type": "number", "range": [0, 10000]},
        "visits": {"type": "integer", "range": [0, 50]},
        "member": {"type": "boolean"},
        "remark": {"type": "category", "role": "ignore"},
        "outcome": {"type": "category", "role": "label"},
    },
    "label": {"kind": "value", "positive": ["bad"], "horizon": 6},
    "split": {"test": 6},
}
OUTPUTS = ("data/raw.parquet", "data/excluded.json", "data/prepared")

EXTREMES = (0, -1, 1, 2, 1200, 1201, 36500, 2**31, 2**63, 2**64, -(2**63), 10**300, 0.0, -0.0, 0.5, 1.5, 1e-320, 1e308)
NUMBERS = st.sampled_from((*EXTREMES, float("inf"), float("-inf"), float("nan")))
WORDS = """
0 1 -1 1e400 30d 0d 999999d ٣d ²d null true $(ls) [red] {x} %s % %Y %Q ../x /etc/passwd * ’ 🎲
2010-01-01 1500-01-01 9999-12-31 2010-W01-1 20100101 0000-00-00 2010-01-01T00:00 ١٠٠٠-٠١-٠١
file wheel sql loans date label id group known segment ignore feature integer number boolean category event value
cases.csv opened outcome amount roc_auc train grid halving random none sigmoid
hist_gradient_boosting random_forest logistic_regression
"""
TEXTS = st.sampled_from((*WORDS.split(), "", " ", "\0", "\ud800", "a\nb", "x" * 10_000))
SCALARS = (
    NUMBERS
    | TEXTS
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from([None, True, False, b"bytes", date(2010, 1, 1), date.min, date.max])
    | st.sampled_from([datetime(2010, 1, 1), datetime.max, datetime(2010, 1, 1, tzinfo=UTC)])
)
KEYS = TEXTS | st.text(max_size=10) | st.sampled_from([None, True, 1, 1.5, (1, 2), date(2010, 1, 1)])
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=6
)


def places(node: Any, here: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to each value of a document, from its top."""
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in inner:
        yield (*here, key)
        yield from places(value, (*here, key))


@st.composite
def mistakes(draw: st.DrawFn, document: dict[str, Any], most: int = 3) -> Any:
    """The document with up to so many changes: a value replaced, deleted, moved, wrapped, or a key added or renamed."""
    content = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, most))):
        known = list(places(content))
        if not known:
            return draw(VALUES)
        *way, last = draw(st.sampled_from(known))
        node = content
        for key in way:
            node = node[key]
        match draw(st.sampled_from(["replace", "replace", "replace", "delete", "add", "rename", "copy", "wrap"])):
            case "replace":
                node[last] = draw(VALUES)
            case "delete":
                del node[last]
            case "add" if isinstance(node, dict):
                node[draw(KEYS)] = draw(VALUES)
            case "rename" if isinstance(node, dict):
                node[draw(KEYS)] = node.pop(last)
            case "copy":
                source = content
                for key in draw(st.sampled_from(known)):
                    source = source[key] if isinstance(source, dict) and key in source else source
                node[last] = copy.deepcopy(source)
            case _:
                node[last] = [node[last]]
    return content


def refused(action: Callable[[], object]) -> bool:
    """Whether the action refuses its input, in one sentence. Any other exception is a failure of the test."""
    try:
        with warnings.catch_warnings(action="ignore"):
            action()
    except UserError as error:
        told = str(error)
        assert told.strip()
        assert "\n" not in told
        assert len(told) < 2000
        return True
    return False


def read_everywhere(content: Any) -> None:
    """Read the content as each stage and command does, as if it stood in params.yaml."""
    found = mock.Mock(return_value=content)
    with mock.patch("champion.core.strict_yaml.read_yaml", found):
        answers = {reader.__name__: refused(lambda reader=reader: read(reader, PARAMS)) for reader in READERS}
        refuses = refused(lambda: check(PARAMS))
    # `champion check` finds all that a stage would refuse.
    assert refuses or not any(answers.values())


def snapshot() -> dict[str, str]:
    files = [file for name in OUTPUTS for file in (Path(name), *Path(name).rglob("*")) if file.is_file()]
    return {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def run_stages(content: Any) -> None:
    """Run ingest and prepare in this folder. A stage that refuses its input changes no output."""
    found = mock.Mock(return_value=content)
    for stage in ("ingest", "prepare"):
        before = snapshot()
        main = importlib.import_module(f"champion.pipeline.{stage}.__main__").main
        with mock.patch("champion.core.strict_yaml.read_yaml", found), warnings.catch_warnings(action="ignore"):
            told = end_of(main)
        if told is not None:
            assert told.startswith("error: ")
            assert snapshot() == before
            return


def end_of(main: Callable[[], None]) -> str | None:
    """The message with which the stage ended; None if it did its work."""
    try:
        main()
    except SystemExit as stop:
        return str(stop.code)
    return None


def read_bytes(content: bytes, folder: Path) -> None:
    """Check a file with these bytes."""
    (folder / PARAMS).write_bytes(content)
    refused(lambda: check(folder / PARAMS))


TEXT = "\n".join(f"{key}: {value}" for key, value in SMALL.items()).replace("'", '"').encode()
ANY_TEXT = st.binary(max_size=200) | st.text("[]{}:,-?&*!|>%@`'\"#\n \t\0a1.\\~<=", max_size=60).map(str.encode)


@st.composite
def torn(draw: st.DrawFn) -> bytes:
    """A text of YAML with some of its bytes replaced."""
    begin = draw(st.integers(0, len(TEXT)))
    end = draw(st.integers(begin, min(len(TEXT), begin + 40)))
    return TEXT[:begin] + draw(ANY_TEXT) + TEXT[end:]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the small table, where stages can run."""
    root = tmp_path_factory.mktemp("fuzz")
    (root / "data/source").mkdir(parents=True)
    small_table().write_csv(root / "data/source/cases.csv")
    return root


@pytest.fixture
def inside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(folder)
    return folder


FAST = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


def thorough(examples: int) -> settings:
    return settings(FAST, max_examples=examples)


@FAST
@given(content=mistakes(REAL))
def test_mistakes_are_taken_or_refused_by_every_reader(content: Any) -> None:
    read_everywhere(content)


@pytest.mark.sweep
@thorough(2000)
@given(content=mistakes(REAL) | VALUES)
def test_thousands_of_mistakes_are_taken_or_refused_by_every_reader(content: Any) -> None:
    read_everywhere(content)


@pytest.mark.sweep
@thorough(1000)
@given(content=torn() | ANY_TEXT)
def test_a_thousand_torn_texts_are_taken_or_refused(content: bytes, folder: Path) -> None:
    read_bytes(content, folder)


@pytest.mark.sweep
@thorough(1000)
@given(content=mistakes(SMALL, most=2))
def test_a_thousand_refusals_of_a_stage_change_no_output(content: Any, inside: Path) -> None:
    run_stages(content)


def test_a_document_of_the_fuzz_is_one_that_yaml_can_hold(tmp_path: Path) -> None:
    """The patched reader gives what the real one would."""
    with (tmp_path / PARAMS).open("w", encoding="utf-8") as stream:
        YAML(typ="safe").dump(REAL, stream)
    assert parse_yaml((tmp_path / PARAMS).read_text(encoding="utf-8")) == REAL


def test_the_documents_that_are_changed_are_valid(inside: Path) -> None:
    check(EXAMPLE / PARAMS)
    run_stages(SMALL)
    assert set(OUTPUTS[:2]) < set(snapshot())
