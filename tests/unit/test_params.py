"""params.yaml as the stages read it. test_params_mistakes.py tests the message for each mistake."""

from pathlib import Path

import pytest
from dvc.utils.hydra import apply_overrides
from dvc.utils.serialize import parse_yaml as dvc_parse_yaml
from pydantic import ValidationError

from champion.core.errors import UserError
from champion.core.strict_yaml import Sections, read
from champion.core.yaml_text import parse_yaml
from champion.params import Params
from champion.pipeline.evaluate.params import Gate
from champion.table.columns import Column, Columns
from champion.table.params import Split
from support.project import EXAMPLE

COLUMNS = Columns(
    {
        "opened": Column(type="date", role="date"),
        "amount": Column(type="number", range=(0, None)),
        "branch": Column(type="category"),
        "note": Column(type="category", role="ignore"),
        "shop": Column(type="category", role="group"),
        "town": Column(type="category", role="segment", feature=True),
        "area": Column(type="category", role="segment"),
        "bad": Column(type="boolean", role="label"),
    }
)


class OnlySplit(Sections):
    split: Split


def test_the_committed_params_are_valid() -> None:
    assert read(Params, EXAMPLE / "params.yaml").gates


@pytest.mark.parametrize(
    ("assignment", "changed"),
    [
        ("train.seed=0", []),
        ("train.seed=1", ["  seed: 1"]),
        ("gates.roc_auc_low.above=0.7", ["  roc_auc_low: {above: 0.7}"]),
    ],
)
def test_dvc_writes_the_committed_params_as_they_are(assignment: str, changed: list[str], tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes((EXAMPLE / "params.yaml").read_bytes())
    before = path.read_text(encoding="utf-8").splitlines()
    apply_overrides(path, [assignment])
    after = path.read_text(encoding="utf-8").splitlines()
    assert [new for old, new in zip(before, after, strict=True) if new != old] == changed


def test_columns_are_found_by_role_in_the_tables_order() -> None:
    assert COLUMNS.named("feature") == ["amount", "branch"]
    assert COLUMNS.only("date") == "opened"
    assert COLUMNS.only("id") is None
    assert COLUMNS.label == "bad"
    assert COLUMNS.named("segment") == ["town", "area"]


def test_a_group_or_a_segment_is_a_feature_only_if_it_says_so() -> None:
    assert COLUMNS.features == ["amount", "branch", "town"]


def test_the_lender_of_the_loans_is_a_group_that_no_model_sees() -> None:
    columns = read(Params, EXAMPLE / "params.yaml").table
    assert columns.only("group") == "lender"
    assert columns.only("known") == "outcome_known"
    assert {"lender", "outcome_known", "charge_off_date", "loan_id", "approval_date"}.isdisjoint(columns.features)
    assert not any("bank" in name or name == "same_state" for name in columns)


def test_a_stage_reads_its_own_sections_whatever_the_others_hold(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("split: {test_share: 0.5}\ntrain: nonsense\nnobody: declares this\n")
    assert read(OnlySplit, path).split.test_share == 0.5


def test_params_cannot_be_changed_once_read() -> None:
    split = Split(test_share=0.5)
    with pytest.raises(ValidationError, match="frozen"):
        split.test_share = 0.1  # type: ignore[misc]


def test_equal_bounds_are_in_order() -> None:
    assert Gate(min=0.5, max=0.5).min == 0.5


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "it has no sections such as `split:`. Add them"),
        ("just text", "it has no sections such as `split:`. Add them"),
        ("- a\n- b", "it has no sections such as `split:`. Add them"),
        ("split: {test_share: 0.5", "not valid YAML"),
        ("split: {test_share: 0.5}\nsplit: {test_share: 0.5}", "not valid YAML"),
        ("split: !!python/object/apply:os.getcwd []", "not valid YAML"),
        ("test_share: 0.5", "the key `split` is missing"),
    ],
)
def test_a_file_that_is_no_params_file_is_a_sentence(content: str, expected: str, tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(content)
    with pytest.raises(UserError, match=expected) as error:
        read(OnlySplit, path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


def test_a_file_in_another_encoding_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes("split: {test_share: é}".encode("latin-1"))
    with pytest.raises(UserError, match="not valid YAML"):
        read(OnlySplit, path)


@pytest.mark.parametrize("value", ["1e-5", "012", "0o12", "12:30:45", "-.5", "on", "no", "Y", "1_000", "2010-01-01"])
def test_a_param_means_to_us_what_it_means_to_dvc(value: str) -> None:
    assert parse_yaml(f"value: {value}") == dvc_parse_yaml(f"value: {value}", "params.yaml")


def test_no_file_says_where_it_belongs(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no such file\. It belongs in the root of the repository"):
        read(OnlySplit, tmp_path / "params.yaml")
