"""Which parameters make a new recipe, which must win; anything else is a refresh."""

from typing import Any

import pytest

from champion.core.strict_yaml import read
from champion.delivery.contest import changed_parameters
from champion.params import Params
from support.project import EXAMPLE


@pytest.fixture
def committed() -> dict[str, Any]:
    """The committed params, as a version registers them."""
    return read(Params, EXAMPLE / "params.yaml").model_dump(mode="json")


def test_what_a_refresh_may_change_makes_no_new_recipe(committed: dict[str, Any]) -> None:
    changes = {"as_of": "2012-01-01", "decision": {"share": 0.2}, "gates": {}, "evaluate": {}, "contract": {}}
    changes["train"] = committed["train"] | {"calibration": "isotonic"}
    changes["ingest"] = committed["ingest"] | {"sha256": "0" * 64}
    assert changed_parameters(committed, committed | changes) == ()


@pytest.mark.parametrize("section", ["columns", "window", "split", "ingest", "train"])
def test_another_value_in_a_section_that_makes_the_models_is_a_new_recipe(
    committed: dict[str, Any], section: str
) -> None:
    values: dict[str, Any] = {
        "columns": {"state": {"type": "category", "role": "ignore"}},
        "window": 36,
        "split": {"test": 6},
        "ingest": {"exclude": {}},
        "train": {"hist_gradient_boosting": {"max_iter": 100}},
    }
    before, value = committed[section], values[section]
    other = before | value if isinstance(before, dict) else value
    changed = changed_parameters(committed, committed | {section: other})
    assert changed
    assert {name.partition(".")[0] for name in changed} == {section}


def test_a_parameter_with_a_new_default_is_no_new_recipe(committed: dict[str, Any]) -> None:
    assert (committed["train"]["native_categories"], committed["train"]["max_categories"]) == (False, 200)

    def without(*names: str) -> dict[str, Any]:
        return committed | {"train": {name: v for name, v in committed["train"].items() if name not in names}}

    assert changed_parameters(without("native_categories"), committed) == ()
    assert changed_parameters(committed, without("native_categories")) == ()
    # Its default is another value than the committed one.
    assert changed_parameters(without("max_categories"), committed) == ("train.max_categories",)


def test_params_that_cannot_be_read_any_more_are_compared_as_they_were_registered(committed: dict[str, Any]) -> None:
    older = committed | {"train": {"seed": 1, "forgotten": True}}
    changed = changed_parameters(older, committed)
    assert {"train.seed", "train.forgotten", "train.native_categories"} <= set(changed)
    assert {name.partition(".")[0] for name in changed} == {"train"}
