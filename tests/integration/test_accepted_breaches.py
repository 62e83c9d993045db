"""What validate says of a broken contract: the share of rows, lines that accept them, and leaks by that name."""

import re
from typing import Any

import polars as pl
import pytest
from ruamel.yaml import YAML

from champion.core.files import write_parquet
from support.project import Project
from support.refusals import run_stage, snapshot

# Great Expectations imports what is about to be removed elsewhere.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def refusal(project: Project, **contract: Any) -> str:
    project.edit_params(lambda params: params["contract"].update(contract))
    before = snapshot(project)
    with pytest.raises(SystemExit) as refused:
        run_stage(project, "validate")
    assert snapshot(project) == before
    said = str(refused.value)
    assert said.startswith("error: the data breaks ")
    assert said.endswith("Correct the data, or change the contract if the data is right.")
    return said


def lines_to_paste(said: str) -> dict[str, Any]:
    _, _, rest = said.partition("would accept the shares and numbers found:\n\n")
    content: dict[str, Any] = YAML(typ="safe").load("contract:\n" + rest.partition("\n\n")[0])
    return dict(content["contract"])


def paste(project: Project, lines: dict[str, Any]) -> None:
    """Put the lines where others with these keys may be."""

    def edit(params: dict[str, Any]) -> None:
        columns = params["contract"].get("columns", {}) | lines.get("columns", {})
        params["contract"] |= lines | {"columns": columns}

    project.edit_params(edit)


def test_each_breach_has_its_share_and_the_pasted_lines_accept_all(small: Project) -> None:
    table = pl.read_parquet(small.folder / "data/raw.parquet")
    missing = table["visits"].null_count()
    few = ["north", "south"]
    east = (table["region"] == "east").sum()
    small.edit_params(lambda params: params["columns"]["region"].update(values=few))
    run_stage(small, "prepare")
    said = refusal(small, rows=[1500, 2000], class_share=[0.9, 0.95], columns={"region": {"max_invalid": 0.1}})
    assert re.search(
        rf"raw +visits +column_values_to_not_be_null +{missing} of 1,000 +{missing / 10:.3f}% +missing", said
    )
    assert re.search(rf"raw +region +column_values_to_be_in_set .* {east} of 1,000 +{east / 10:.3f}% +east", said)
    found = lines_to_paste(said)
    assert found["rows"] == [1000, 2000]
    assert found["class_share"][0] < 0.9
    assert found["class_share"][1] == 0.95
    # In a part the share may be larger than in the whole table.
    assert missing / 1000 <= found["columns"]["visits"]["max_missing"] < missing / 1000 + 0.1
    assert found["columns"]["region"]["max_invalid"] == pytest.approx(east / 1000, abs=0.0001)
    paste(small, found)
    run_stage(small, "validate")


def test_events_before_their_rows_can_be_accepted_too(small: Project) -> None:
    path = small.folder / "data/raw.parquet"

    def edit(params: dict[str, Any]) -> None:
        params["columns"]["outcome"] = {"type": "date", "role": "label"}
        params["label"] = {"kind": "event", "horizon": 6}

    small.edit_params(edit)
    rows = pl.read_parquet(path)
    day, number = pl.col("opened"), pl.col("case")
    event = pl.when(number == 7).then(day.dt.offset_by("-1d")).when(number % 3 == 0).then(day.dt.offset_by("1mo"))
    path.unlink()  # a link to the cache
    write_parquet(path, rows.with_columns(outcome=event))
    run_stage(small, "prepare")
    found = lines_to_paste(refusal(small))
    assert 0 < found["max_events_before_start"] <= 0.01
    paste(small, found)
    run_stage(small, "validate")


def test_a_leak_is_called_a_leak_with_its_roc_auc_and_cannot_be_accepted_by_a_line(small: Project) -> None:
    said = refusal(small, leak_auc=0.51)
    assert re.search(r"leaks +amount +leak: ROC AUC alone +-inf to 0.51 +0\.\d+", said)
    [auc] = re.findall(r"leak: alone, the feature 'amount' reaches a ROC AUC of (0\.\d{4}) in at_split/labelled", said)
    assert float(auc) > 0.51
    assert "`contract.leak_auc` is 0.51. It probably holds the outcome" in said
    assert "give it the role `ignore`" in said
    assert "would accept" not in said


def test_a_name_that_yaml_would_read_otherwise_is_quoted_in_the_lines(small: Project) -> None:
    table = small.folder / "data/source/cases.csv"
    pl.read_csv(table, infer_schema=False).rename({"visits": "no: 1 #é"}).write_csv(table)

    def edit(params: dict[str, Any]) -> None:
        columns = params["columns"].items()
        params["columns"] = {"no: 1 #é" if name == "visits" else name: column for name, column in columns}
        params["contract"]["columns"] = {}

    small.edit_params(edit)
    for stage in ("ingest", "prepare"):
        run_stage(small, stage)
    found = lines_to_paste(refusal(small))
    assert list(found["columns"]) == ["no: 1 #é"]
    paste(small, found)
    run_stage(small, "validate")
