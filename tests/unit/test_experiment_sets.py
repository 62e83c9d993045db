"""DVC gets the sets that a user writes, and a mistake is reported before anything runs."""

from pathlib import Path

import pytest

from champion.core.errors import UserError
from champion.experiments.parameter_sets import checked, parse
from support.project import EXAMPLE

LEAVES = "train.hist_gradient_boosting.max_leaf_nodes"


def test_each_s_is_one_set() -> None:
    assert parse(["a=1,b=2", "a=3"], []) == [("a=1", "b=2"), ("a=3",)]


def test_a_comma_within_a_value_stays() -> None:
    assert parse(["a=[1,2],b={x:1,y:2}", "a=x,y"], []) == [("a=[1,2]", "b={x:1,y:2}"), ("a=x,y",)]


def test_a_grid_is_every_combination() -> None:
    expected = [("a=1", "b=x"), ("a=1", "b=y"), ("a=2", "b=x"), ("a=2", "b=y")]
    assert parse([], ["a=1,2 b=x,y"]) == expected
    assert parse([], ["a=1,2", "b=x,y"]) == expected
    assert parse([], ["a=[1,2],[3]"]) == [("a=[1,2]",), ("a=[3]",)]
    assert parse([], ["a=range(1,4)"]) == [("a=1",), ("a=2",), ("a=3",)]


def test_each_set_runs_at_each_point_of_the_grid() -> None:
    assert parse(["a=1", "a=2"], ["b=3,4"]) == [("a=1", "b=3"), ("a=2", "b=3"), ("a=1", "b=4"), ("a=2", "b=4")]


def test_a_set_given_twice_runs_once() -> None:
    assert parse(["a=1", "a=1"], []) == [("a=1",)]


@pytest.mark.parametrize("text", ["a", "a=", "=1", "a=1,"])
def test_what_is_no_assignment_is_refused(text: str) -> None:
    with pytest.raises(UserError, match=r"is not an assignment|is not a grid"):
        checked(EXAMPLE, parse([], [text]) if text == "a=1," else parse([text], []))


def test_no_set_is_refused() -> None:
    with pytest.raises(UserError, match="no set was given"):
        parse([], [])


@pytest.mark.parametrize(
    ("given", "full"),
    [
        ("train.max_leaf_nodes=7", f"{LEAVES}=7"),
        ("train.max_depth=7", "+train.hist_gradient_boosting.max_depth=7"),
        ("train.hist_gradient_boosting.max_depth=7", "+train.hist_gradient_boosting.max_depth=7"),
        ("train.seed=7", "train.seed=7"),
        ("train.search.method=none", "train.search.method=none"),
        ("train.search={method: none}", "train.search={method: none}"),
        ("window=60", "window=60"),
    ],
)
def test_the_estimators_own_params_need_no_long_name(given: str, full: str) -> None:
    assert checked(EXAMPLE, [(given,)]) == [(full,)]


def test_the_estimator_may_be_part_of_the_set() -> None:
    (found,) = checked(EXAMPLE, [("train.estimator=random_forest", "train.min_samples_leaf=5")])
    assert found[1] == "train.random_forest.min_samples_leaf=5"


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("trainn.seed=1", "Could not override 'trainn.seed'"),
        ("train.seed=x", "`train.seed`: input should be a valid integer"),
        ("+windows=1", "unknown key `windows`"),
        ("a=[1", "a=[1: "),
    ],
)
def test_a_wrong_set_is_told_before_any_runs(given: str, reason: str, tmp_path: Path) -> None:
    before = (EXAMPLE / "params.yaml").read_bytes()
    with pytest.raises(UserError) as told:
        checked(EXAMPLE, [("train.seed=1",), (given,)])
    assert str(told.value).startswith(f"{given}: ")
    assert reason in str(told.value)
    assert "champion-" not in str(told.value)
    assert (EXAMPLE / "params.yaml").read_bytes() == before


def test_params_that_are_wrong_already_are_told(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("train: [", encoding="utf-8")
    with pytest.raises(UserError, match=r"params\.yaml: not valid YAML"):
        checked(tmp_path, [("train.seed=1",)])
