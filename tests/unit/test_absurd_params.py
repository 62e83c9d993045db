"""An absurd params.yaml costs little, and is refused in one sentence by `champion check` and by every stage."""

import time
from pathlib import Path

import pytest

from champion.core.errors import UserError
from champion.core.strict_yaml import read
from champion.core.yaml_text import parse_yaml, read_yaml
from champion.params import STAGES, check
from support.project import EXAMPLE, Project

TEXT = (EXAMPLE / "params.yaml").read_text(encoding="utf-8")
BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{level + 1}: &a{level + 1} [{', '.join([f'*a{level}'] * 9)}]\n" for level in range(12)
)
CHAIN = "a0: &a0 [x]\n" + "".join(f"a{level + 1}: &a{level + 1} [*a{level}]\n" for level in range(1000))
ABSURD: dict[str, tuple[bytes, str]] = {
    "an integer of 5,000 digits": (TEXT.replace("seed: 0", f"seed: {'9' * 5000}").encode(), "a value cannot be read"),
    "an integer of 400 digits": (TEXT.replace("seed: 0", f"seed: {'9' * 400}").encode(), "more than 300 digits"),
    "hexadecimal": (TEXT.replace("seed: 0", f"seed: 0x{'f' * 5000}").encode(), "more than 300 digits"),
    "5,000 brackets": (TEXT.encode() + b"x: " + b"[" * 5000, "more than 50 levels"),
    "closed brackets": (TEXT.encode() + b"x: " + b"[" * 100 + b"]" * 100, "more than 50 levels"),
    "5,000 maps": (TEXT.encode() + b"x: " + b"{a: " * 5000 + b"}" * 5000, "more than 50 levels"),
    "5,000 dashes": (TEXT.encode() + b"x:\n  " + b"- " * 5000 + b"a", "more than 50 levels"),
    "sections in sections": ("".join(" " * level + "a:\n" for level in range(200)).encode(), "more than 50 levels"),
    "a bomb of aliases": (TEXT.encode() + BOMB.encode(), "more than 100,000 values"),
    "a bomb in a parameter": (
        BOMB.encode() + TEXT.replace("max_iter: 200", "max_iter: *a12").encode(),
        "more than 100,000 values",
    ),
    "a chain of aliases": (TEXT.encode() + CHAIN.encode(), "more than 50 levels"),
    "an alias of itself": (TEXT.encode() + b"x: &x [*x]\n", "more than 50 levels"),
    "a number beyond all": (TEXT.replace("share: 0.1", "share: 1e400").encode(), "`decision.share`: .*finite"),
    "a parameter beyond all": (TEXT.replace("learning_rate: 0.06", "learning_rate: 1e400").encode(), "learning_rate"),
    "half a character": (TEXT.encode() + b'x: "\\ud800"\n', r"it has '\\ud800', which is half of a character"),
    "half a character in a key": (TEXT.encode() + b'? "a\\udfff"\n: 1\n', r"it has '\\udfff', which is half"),
    "a nul": (TEXT.encode() + b"\0", "not valid YAML"),
    "latin-1": (TEXT.replace("Loans", "Lån").encode("latin-1"), "not UTF-8"),
    "random bytes": (bytes(range(256)), "not UTF-8"),
    "a huge file": (TEXT.replace("loan_id", "x" * 5_000_000).encode(), "longer than 300,000 characters"),
    "a long value": (TEXT.replace("share: 0.1", f"share: {'x' * 200_000}").encode(), r"\(found 'x+\.\.\.x+'\)"),
    "a long key": (TEXT.encode() + b"? " + b"x" * 200_000 + b"\n: 1\n", r"unknown key `x+\.\.\.x+`"),
    "a key given twice": (TEXT.encode() + b"as_of: '2012-01-01'\n", "duplicate key"),
    "a month 13": (TEXT.replace("'2011-01-01'", "2011-13-01").encode(), "month must be in 1"),
    "a year 99999": (TEXT.replace("2011-01-01", "99999-01-01").encode(), "`as_of`: '99999-01-01' is not a date"),
    "the year 1": (TEXT.replace("2011-01-01", "0001-01-01").encode(), "`as_of`: '0001-01-01' is before the year 1500"),
    "a list as a key": (TEXT.encode() + b"? [a, b]\n: 1\n", "keys should be strings"),
    "a map as a key": (TEXT.encode() + b"? {a: b}\n: 1\n", "unhashable key"),
    "no boolean": (TEXT.encode() + b"x: !!bool perhaps\n", "a value cannot be read"),
    "no number": (TEXT.encode() + b"x: !!float abc\n", "a value cannot be read"),
    "python": (TEXT.encode() + b"x: !!python/object/apply:os.getcwd []\n", "not valid YAML"),
    "nothing": (b"", "it has no sections"),
    "a list": (b"- a\n", "it has no sections"),
}


@pytest.mark.parametrize("case", ABSURD)
def test_an_absurd_file_is_refused_in_one_sentence(case: str, tmp_path: Path) -> None:
    content, expected = ABSURD[case]
    path = tmp_path / "params.yaml"
    path.write_bytes(content)
    began = time.monotonic()
    with pytest.raises(UserError, match=expected) as refused:
        check(path)
    assert time.monotonic() - began < 30
    told = str(refused.value)
    assert "params.yaml: " in told
    assert "\n" not in told
    assert len(told) < 1000


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("case", ["5,000 brackets", "a bomb of aliases", "latin-1"])
def test_every_stage_refuses_it_too(stage: str, case: str, tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(ABSURD[case][0])
    with pytest.raises(UserError, match=ABSURD[case][1]):
        read(STAGES[stage], path)


def test_aliases_that_stand_for_little_are_allowed(tmp_path: Path) -> None:
    assert parse_yaml("a: &a {x: 1}\nb: [*a, *a]\nc: {<<: *a, y: 2}") == {
        "a": {"x": 1},
        "b": [{"x": 1}, {"x": 1}],
        "c": {"x": 1, "y": 2},
    }


def test_brackets_in_quotes_are_text(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(f"a: '{'[' * 900}'")
    assert read_yaml(tmp_path / "params.yaml") == {"a": "[" * 900}


@pytest.mark.parametrize(
    "command",
    [
        ["reproduce"],
        ["gc"],
        ["experiments", "run", "--set", "train.seed=1"],
    ],
)
def test_a_command_that_runs_dvc_refuses_a_bomb_before_dvc_reads_it(command: list[str], project: Project) -> None:
    (project.folder / "params.yaml").write_bytes(ABSURD["a bomb of aliases"][0])
    project.commit("Put a bomb in params.yaml")
    environment = {"CHAMPION_DATABASE_URL": f"sqlite:///{project.folder}/var/ledger.db"}
    done = project.champion(*command, check=False, environment=environment)
    assert done.returncode == 1
    assert "error: params.yaml: it stands for more than 100,000 values" in done.stderr, done.stderr
    assert "Traceback" not in done.stdout + done.stderr
