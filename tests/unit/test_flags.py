"""A flag selects a version for the same users again and again, and for as many as its document says."""

import gc
import json
import logging
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterator
from copy import deepcopy
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from champion.core.errors import UserError
from champion.flags import Choice, Flags, read_definitions, with_share
from support.project import EXAMPLE

DEFINITIONS = EXAMPLE / "config/flags.json"
FEW = [f"user-{number}" for number in range(5_000)]

Parse = Callable[..., Flags]


@pytest.fixture
def parse() -> Iterator[Parse]:
    """Flags in which these shares are on, closed after the test."""
    opened = []

    def parsed(**shares: tuple[float, str]) -> Flags:
        document = read_definitions(DEFINITIONS)
        for flag, (percent, version) in shares.items():
            document = with_share(document, flag, percent, version)
        opened.append(Flags.parse(document))
        return opened[-1]

    yield parsed
    for flags in opened:
        flags.close()


def chosen(flags: Flags, users: list[str] = FEW) -> set[str]:
    return {user for user in users if flags.choose(user) is not None}


@pytest.mark.parametrize("count", [20_000, pytest.param(100_000, marks=pytest.mark.sweep)])
def test_the_users_of_a_flag_are_a_fair_sample(parse: Parse, count: int) -> None:
    users = [f"user-{number}" for number in range(count)]
    found = chosen(parse(new_model=(10, "v2")), users)
    allowed = 5 * (count * 0.1 * 0.9) ** 0.5
    assert abs(len(found) - count / 10) < allowed
    halves = [len(found & set(users[part::2])) for part in (0, 1)]
    assert abs(halves[0] - halves[1]) < allowed


def test_a_user_keeps_the_version_in_every_process(parse: Parse) -> None:
    code = (
        "import json, sys; from pathlib import Path; from champion.flags import *\n"
        "flags = Flags.parse(with_share(read_definitions(Path(sys.argv[1])), 'new_model', 10, 'v2'))\n"
        "print(json.dumps([u for u in (f'user-{n}' for n in range(1000)) if flags.choose(u)]))"
    )
    other = subprocess.run([sys.executable, "-c", code, str(DEFINITIONS)], capture_output=True, text=True, check=True)
    flags = parse(new_model=(10, "v2"))
    assert set(json.loads(other.stdout)) == chosen(flags, FEW[:1000]) == chosen(flags, FEW[:1000])


def test_a_larger_share_keeps_the_users_of_a_smaller_one(parse: Parse) -> None:
    shares = [0, 0.01, 10, 20, 99.99, 100]
    found = [chosen(parse(new_model=(percent, "v2"))) for percent in shares]
    assert all(smaller <= larger for smaller, larger in pairwise(found))
    counts = [len(one) for one in found]
    assert (counts[0], counts[-1]) == (0, len(FEW))
    assert counts[1] < 10
    assert abs(counts[2] - 500) < 110
    assert abs(counts[3] - 1000) < 145
    assert len(FEW) - counts[4] < 10


def test_the_first_flag_that_is_on_wins_and_flags_choose_other_users(parse: Parse) -> None:
    flags = parse(advanced_preprocessing=(50, "v3"), new_model=(50, "v2"))
    assert flags.versions == {"v2", "v3"}
    first = next(user for user in FEW if (found := flags.choose(user)) and found.flag == "new_model")
    assert flags.choose(first) == Choice("new_model", "on", "v2", "TARGETING_MATCH")
    found = [flags.choose(user) for user in FEW]
    second = sum(one is not None and one.flag == "advanced_preprocessing" for one in found)
    # Half of the half that the first flag leaves.
    assert abs(second - len(FEW) / 4) < 155


def test_the_precedence_survives_the_sorted_json_of_the_ledger() -> None:
    document = read_definitions(DEFINITIONS)
    for flag, version in (("new_model", "v2"), ("advanced_preprocessing", "v3")):
        document = with_share(document, flag, 100, version)
    flags = Flags.parse(json.loads(json.dumps(document, sort_keys=True)))
    found = flags.choose("somebody")
    flags.close()
    assert found is not None
    assert found.version == "v2"


@pytest.mark.parametrize("user", [None, ""])
def test_nobody_gets_a_version_without_an_id(parse: Parse, user: str | None) -> None:
    assert parse(new_model=(100, "v2")).choose(user) is None


@pytest.mark.parametrize("user", ["Ωmega", "日本", "😀" * 300, "\x00", "\ud800", " ", "a" * 100_000])
def test_any_text_can_be_an_id(parse: Parse, user: str, caplog: pytest.LogCaptureFixture) -> None:
    flags = parse(new_model=(100, "v2"))
    assert flags.choose(user) == flags.choose(user) == Choice("new_model", "on", "v2", "TARGETING_MATCH")
    assert caplog.records == []


def test_closed_flags_leave_no_thread_no_file_and_no_provider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = threading.enumerate()
    flags = [Flags.parse(with_share(read_definitions(DEFINITIONS), "new_model", 10, "v2")) for _ in range(5)]
    assert threading.enumerate() == before
    providers = [weakref.ref(one._client.provider) for one in flags]
    for one in flags:
        one.close()
    for thread in set(threading.enumerate()) - set(before):
        thread.join(5)
    gc.collect()
    assert [provider() for provider in providers] == [None] * 5
    assert set(threading.enumerate()) <= set(before)
    assert list(tmp_path.iterdir()) == []


def broken(edit: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    document = deepcopy(with_share(read_definitions(DEFINITIONS), "new_model", 10, "v2"))
    edit(document["flags"]["new_model"])
    return document


WRONG = {
    "no version": lambda flag: flag["metadata"].pop("version"),
    "another type": lambda flag: flag.update(variants={"on": 1, "off": 0}),
    "another variant": lambda flag: flag.update(variants={"on": True, "off": False, "maybe": True}),
    "on for all": lambda flag: flag.update(defaultVariant="on"),
    "disabled": lambda flag: flag.update(state="DISABLED"),
    "unknown key": lambda flag: flag.update(defualt="off"),
    "unknown operator": lambda flag: flag.update(targeting={"fraction": [["on", 1]]}),
    "unknown variant": lambda flag: flag.update(targeting={"if": [True, "maybe"]}),
    "rule of text": lambda flag: flag.update(targeting="on"),
    "metadata": lambda flag: flag.update(metadata=["v2"]),
    "metadata of metadata": lambda flag: flag["metadata"].update(owner=None),
}


@pytest.mark.parametrize("edit", WRONG.values(), ids=WRONG)
def test_a_broken_document_is_refused_in_one_sentence(
    edit: Callable[[dict[str, Any]], object], caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(UserError) as refused:
        Flags.parse(broken(edit))
    told = str(refused.value)
    assert told.startswith("the document of flags: ")
    assert told.endswith(".")
    assert "\n" not in told
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "no such file"),
        ("{", "not valid JSON"),
        ("[]", "it has no `flags` object"),
        ('{"flags": []}', "it has no `flags` object"),
        ('{"flags": {"new_model": true}}', "the flag `new_model` needs the variants"),
        (json.dumps(broken(dict)), "the flag `new_model` has a rule"),
    ],
)
def test_broken_definitions_are_refused_in_one_sentence(tmp_path: Path, text: str | None, told: str) -> None:
    path = tmp_path / "flags.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError, match=told) as refused:
        read_definitions(path)
    assert str(refused.value).startswith(f"{path}: ")


@pytest.mark.parametrize("percent", [-1, 100.01, float("nan"), float("inf"), 0.001, True])
def test_a_percent_that_is_none_is_refused(percent: float) -> None:
    with pytest.raises(UserError, match=r"percent|decimals"):
        with_share(read_definitions(DEFINITIONS), "new_model", percent, "v2")


def test_without_the_packages_one_sentence_says_how_to_install_them() -> None:
    code = (
        "import sys; sys.modules['openfeature'] = None\n"
        "from champion.core.endings import one_line_errors; from champion.flags import Flags\n"
        "with one_line_errors():\n    Flags.parse({'flags': {}})"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert told.returncode == 1
    assert told.stderr.startswith(
        "error: OpenFeature, which evaluates the flags, is not installed. Run `make setup GROUP="
    )
