"""Every mistake in params.yaml gives a sentence that names the key and, if possible, the key that was meant."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from champion.core.errors import UserError
from champion.core.strict_yaml import did_you_mean, read
from champion.params import Params, check

Edit = Callable[[dict[str, Any]], object]


def document() -> dict[str, Any]:
    """A small valid params.yaml of a dated table."""
    return {
        "as_of": "2020-01-01",
        "window": 24,
        "ingest": {"source": "file", "path": "table.csv"},
        "columns": {
            "opened": {"type": "date", "role": "date"},
            "amount": {"type": "number", "range": [0, 100]},
            "branch": {"type": "category", "values": ["a", "b"]},
            "closed": {"type": "date", "role": "label"},
        },
        "label": {"kind": "event", "horizon": 6},
        "split": {"test": 6},
        "prepare": {"drop_duplicates": False},
        "contract": {"rows": [1, None], "class_share": [0, 1], "leak_auc": 0.9, "columns": {"branch": {}}},
        "train": {"estimator": "random_forest", "search": {"method": "none"}},
        "decision": {"share": 0.1},
        "evaluate": {},
        "gates": {"roc_auc": {"min": 0.6}},
    }


def read_all(path: Path) -> None:
    read(Params, path)


def sentence_after(edit: Edit, folder: Path, reader: Callable[[Path], None] = read_all) -> str:
    content = document()
    edit(content)
    path = folder / "params.yaml"
    with path.open("w", encoding="utf-8") as stream:
        YAML().dump(content, stream)
    with pytest.raises(UserError) as error:
        reader(path)
    return re.sub("^.*?params.yaml: ", "", str(error.value))


def valued(content: dict[str, Any], column_type: str, positive: list[Any]) -> None:
    content["columns"]["closed"]["type"] = column_type
    content["label"] = {"kind": "value", "positive": positive}


def exclude(content: dict[str, Any], **conditions: Any) -> None:
    content["ingest"]["exclude"] = {"tests": conditions}


MISTAKES: list[tuple[Edit, str]] = [
    (lambda c: c.update(evalute={}), "unknown key `evalute` (did you mean `evaluate`?). Correct or remove it."),
    (lambda c: c.update(zzz={}), "unknown key `zzz`. Correct or remove it."),
    (lambda c: c.pop("gates"), "the key `gates` is missing. Add it."),
    (
        lambda c: c["train"].update(max_categoris=9),
        "unknown key `train.max_categoris` (did you mean `max_categories`?)",
    ),
    (
        lambda c: c["columns"]["amount"].update(rnage=[0, 1]),
        "unknown key `columns.amount.rnage` (did you mean `range`?)",
    ),
    (lambda c: c["columns"].update(note={"typ": "category"}), "unknown key `columns.note.typ` (did you mean `type`?)"),
    (lambda c: c["columns"].update(file={"role": "feature"}), "the key `columns.file.type` is missing"),
    (lambda c: c["ingest"].pop("path"), "the key `ingest.path` is missing"),
    (lambda c: c["ingest"].pop("source"), "the key `ingest.source` is missing"),
    (lambda c: c["ingest"].update(source="fiel"), "`ingest.source` should be one of 'wheel', 'file', 'sql'"),
    (lambda c: c["ingest"].update(separator=";;"), "`ingest.separator`: string should have at most 1 character"),
    (lambda c: c.update(ingest={"source": "sql"}), "`ingest`: give either `table` or `query`"),
    (lambda c: c.update(ingest={"source": "sql", "table": "t", "query": "q"}), "`ingest`: give either `table` or"),
    (lambda c: c["train"].update(seed=-1), "`train.seed`: input should be greater than or equal to 0 (found -1)"),
    (lambda c: c["ingest"].update(date_format="%d.%Q"), "`ingest.date_format`: `%Q` is no code of a date; `%d"),
    (lambda c: c["train"].update(seed="1"), "`train.seed`: input should be a valid integer (found '1')"),
    (lambda c: c["train"].update(seed=True), "`train.seed`: input should be a valid integer (found True)"),
    (lambda c: c["train"].update(estimator="forest"), "`train.estimator`: give `hist_gradient_boosting`, `rand"),
    (lambda c: c["train"]["search"].update(method="grid"), "`train.search`: method `grid` needs a `grid`"),
    (lambda c: c["train"]["search"].update(grid={"C": 1}), "`train.search.grid.C`: give a list, such as [1]"),
    (lambda c: c["train"].update(native_categories=True), "`train`: `native_categories` is for the estimator hist_gr"),
    (lambda c: c["train"].update(recency_half_life=0), "`train.recency_half_life`: the length must be at least one"),
    (lambda c: c["train"].update(calibration="platt"), "`train.calibration`: input should be 'none', 'sigmoid' or"),
    (lambda c: c["split"].update(test=0), "`split.test`: the length must be at least one month or one day (found 0)"),
    (lambda c: c["split"].update(test="1 year"), "`split.test`: give a number of months, such as 24, or of days, such"),
    (lambda c: c["split"].update(test=None), "split: the table has a column with the role date, so give `test`, and"),
    (lambda c: c["split"].update(test_share=0.2), "split: the table has a column with the role date, so give `test`,"),
    (lambda c: c["split"].update(test_share="0.2"), "`split.test_share`: input should be a valid number (found '0.2')"),
    (lambda c: c["split"].update(test_share=1), "`split.test_share`: input should be less than 1"),
    (lambda c: c.update(decision={}), "`decision`: give one of `share`, `probability`, `costs` and `maximise`."),
    (lambda c: c["decision"].update(probability=0.5), "`decision`: give one of `share`, `probability`, `costs` and"),
    (lambda c: c.update(decision={"share": 1}), "`decision.share`: input should be less than 1"),
    (lambda c: c.update(decision={"maximise": "roc_auc"}), "`decision.maximise`: input should be 'accuracy', "),
    (lambda c: c.update(decision={"costs": {"false_positve": 1}}), "unknown key `decision.costs.false_positve` (did"),
    (lambda c: c.update(decision={"costs": {}}), "`decision.costs`: a flagged row costs the same as an accepted one"),
    (lambda c: c["contract"].update(rows=[9, 1]), "`contract`: `rows`: the lower bound 9 is above the upper bound 1"),
    (
        lambda c: c["contract"].update(rows=["9", None]),
        "`contract.rows.0`: input should be a valid integer (found '9')",
    ),
    (lambda c: c["contract"].update(class_share=[0.5, 0.1]), "`contract`: `class_share`: the lower bound 0.5 is above"),
    (lambda c: c["contract"].update(leak_auc=0.5), "`contract.leak_auc`: input should be greater than 0.5"),
    (
        lambda c: c["contract"]["columns"].update(brnch={}),
        "contract.columns.brnch: no such column (did you mean `branch`?)",
    ),
    (
        lambda c: c["contract"]["columns"].update(branch={"max_invalid": 2}),
        "`contract.columns.branch.max_invalid`: input",
    ),
    (lambda c: c["gates"].update(brier={}), "`gates.brier`: give a lower bound (`min` or `above`), an upper one"),
    (lambda c: c["gates"].update(brier={"min": 0, "above": 0}), "`gates.brier`: give `min` or `above`, not both"),
    (lambda c: c["gates"].update(brier={"max": 0, "below": 0}), "`gates.brier`: give `max` or `below`, not both"),
    (lambda c: c["gates"].update(brier={"above": 1, "max": 0}), "`gates.brier`: `above`: the lower bound 1 is above"),
    (lambda c: c["gates"].update(brier={"min": 1, "max": 0}), "`gates.brier`: `min`: the lower bound 1 is above"),
    (lambda c: c["gates"].update(brier={"min": float("nan")}), "`gates.brier.min`: input should be a finite number"),
    (lambda c: c["columns"]["amount"].update(range=[5, 1]), "`columns.amount`: `range`: the lower bound 5 is above"),
    (
        lambda c: c["columns"]["amount"].update(range=["5", 9]),
        "`columns.amount.range.0`: input should be a valid number",
    ),
    (
        lambda c: c["columns"]["amount"].update(values=["5"]),
        "`columns.amount`: `values` is for a column of type category",
    ),
    (lambda c: c["columns"]["branch"].pop("values") and c["columns"]["branch"].update(range=[0, 1]), "`range` is for"),
    (lambda c: c["columns"]["branch"].update(values=[1]), "`columns.branch.values.0`: input should be a valid string"),
    (lambda c: c["columns"]["branch"].update(values="ab"), "`columns.branch.values`: give a list, such as ['ab']"),
    (
        lambda c: c["columns"]["branch"].update(type="text"),
        "`columns.branch.type`: input should be 'integer', 'number'",
    ),
    (lambda c: c["columns"]["opened"].update(role="feature"), "`columns.opened`: a date cannot be a feature"),
    (lambda c: c["columns"]["opened"].update(role="ignore"), "label: an event label needs a column with the role date"),
    (lambda c: c["columns"]["opened"].update(type="category"), "columns: the column with the role date needs the type"),
    (
        lambda c: c["columns"]["closed"].update(role="ignore"),
        "columns: exactly one column needs the role label, found 0",
    ),
    (
        lambda c: c["columns"]["branch"].update(role="label"),
        "columns: exactly one column needs the role label, found 2",
    ),
    (
        lambda c: [c["columns"][n].update(role="id") for n in ("amount", "branch")],
        "at most one column can have the role id",
    ),
    (lambda c: [c["columns"][n].update(role="ignore") for n in ("amount", "branch")], "no column has the role feature"),
    (
        lambda c: c["columns"].update({"(target)": {"type": "number"}}),
        "columns: prepare makes a column `(target)` itself; rename",
    ),
    (lambda c: c.update(columns=None), "`columns`: give a section with keys (found None)"),
    (
        lambda c: c["columns"].update({1: {"type": "number"}}),
        "`columns.1`: input should be a valid string (found 1)",
    ),
    (lambda c: c.update(as_of=None), "as_of: the table has a column with the role date, so set it"),
    (lambda c: c.update(window=None), "window: the table has a column with the role date, so set it"),
    (lambda c: c.update(as_of="01/02/2020"), "`as_of`: '01/02/2020' is not a date such as \"2010-01-01\""),
    (lambda c: c.update(as_of="0020-01-01"), "`as_of`: '0020-01-01' is before the year 1500"),
    (lambda c: c.update(as_of=2020), '`as_of`: write the date in quotes, such as "2010-01-01" (found 2020)'),
    (lambda c: c.update(window=-1), "`window`: give a number of months, such as 24, or of days, such as `30d` (found"),
    (lambda c: c.update(window="36501d"), "`window`: a length of time has at most 100 years (found '36501d')."),
    (lambda c: c["label"].update(horizon=0), "`label`: an event label needs a `horizon`, no `positive`"),
    (lambda c: c["label"].update(horizon="0d"), "`label`: an event label needs a `horizon`, no `positive`"),
    (lambda c: c["label"].update(positive=["x"]), "`label`: an event label needs a `horizon`, no `positive`"),
    (
        lambda c: c["columns"].update(sure={"type": "category", "role": "known"}),
        "`columns.sure`: the column with the role known needs the type boolean",
    ),
    *(
        (
            lambda c, role=role: c["columns"].update(
                {name: {"type": "boolean" if role == "known" else "category", "role": role} for name in ("s", "t")}
            ),
            f"columns: at most one column can have the role {role}, found 2",
        )
        for role in ("known", "group")
    ),
    (
        lambda c: c["columns"]["amount"].update(feature=True),
        "`columns.amount`: `feature` is for a column with the role",
    ),
    (
        lambda c: c["columns"].update(day={"type": "date", "role": "segment", "feature": True}),
        "`columns.day`: a date cannot be a feature",
    ),
    (
        lambda c: c["columns"].update({"(fold)": {"type": "number"}}),
        "columns: prepare makes a column `(fold)` itself; rename",
    ),
    (lambda c: c["columns"].update({"*": {"type": "number"}}), "columns: `*` stands for a pattern of names; rename"),
    (lambda c: c["columns"].update({"^a.*$": {"type": "number"}}), "columns: `^a.*$` stands for a pattern of names"),
    (lambda c: c["prepare"].update(drop_duplicates="yes"), "`prepare.drop_duplicates`: input should be a valid bool"),
    (lambda c: c.pop("prepare"), "the key `prepare` is missing. Add it."),
    (lambda c: c["label"].update(negative=["x"]), "an event label needs a `horizon`, no `positive` and no `negative`"),
    (lambda c: c["ingest"].update(decimal="e"), "`decimal` cannot be 'e', which stands for something else in a number"),
    (lambda c: c["ingest"].update(decimal=",", thousands=","), "`decimal` and `thousands` cannot both be ','"),
    (lambda c: c["ingest"].update(thousands=".."), "`ingest.thousands`: string should have at most 1 character"),
    (lambda c: c["ingest"].update(na_values="?"), "`ingest.na_values`: give a list, such as ['?'] (found '?')"),
    (lambda c: c["contract"].update(rows=300), "`contract.rows`: give a list, such as [300] (found 300)"),
    (lambda c: c["evaluate"].update(segments="branch"), "`evaluate.segments`: give a list, such as ['branch'] (found"),
    (lambda c: c["label"].update(positive=True), "`label.positive`: give a list, such as [True] (found True)"),
    (lambda c: c["ingest"].update(na_values={"a": "?"}), "`ingest.na_values`: give a list."),
    (lambda c: c.update(contract=[1]), "`contract`: give a section with keys."),
    (lambda c: c["ingest"].update(date_format=""), "`ingest.date_format`: string should have at least 1 character"),
    (lambda c: c.update(ingest={"source": "sql", "table": ""}), "`ingest.table`: string should have at least 1 char"),
    (lambda c: c.update(ingest={"source": "sql", "query": ""}), "`ingest.query`: string should have at least 1 char"),
    (
        lambda c: c["ingest"].update(source="wheel", distribution="", sha256="0"),
        "`ingest.distribution`: string should have at least 1 character",
    ),
    (lambda c: c["columns"].update({"": {"type": "number"}}), "columns: a column has no name; give it one, in the"),
    (
        lambda c: c["evaluate"].update(segments=["brnch"]),
        "evaluate.segments: 'brnch' is no feature and has not the role segment (did you mean `branch`?).",
    ),
    (lambda c: c["evaluate"].update(segments=["closed"]), "evaluate.segments: 'closed' is no feature and has not the"),
    (lambda c: c["gates"].update(roc_acu={"min": 0}), "gates.roc_acu: there is no such metric (did you mean `roc_auc"),
    (
        lambda c: c["gates"].update(training_roc_acu={"min": 0}),
        "gates.training_roc_acu: there is no such metric (did you mean `training_roc_auc",
    ),
    (lambda c: c.update(compare={"tolerances": {"nope": 0}}), "compare.tolerances.nope: there is no such metric."),
    (
        lambda c: (valued(c, "category", ["yes", "yess"]), c["columns"]["closed"].update(values=["yes", "no"])),
        "label.positive: 'yess' is not among the `values` of the column 'closed'.",
    ),
    (
        lambda c: (
            valued(c, "category", ["yes"]),
            c["label"].update(negative=["NO"]),
            c["columns"]["closed"].update(values=["yes", "no"]),
        ),
        "label.negative: 'NO' is not among the `values` of the column 'closed'.",
    ),
    (
        lambda c: [c["columns"]["branch"].update(role="ignore"), exclude(c, branch="a")],
        "ingest.exclude.tests.branch: a column with the role ignore is not read. Give it the role segment.",
    ),
    (lambda c: c["ingest"].update(separator="§"), "`ingest.separator`: it must be one ASCII character"),
    (lambda c: c["ingest"].update(separator='"'), "`ingest.separator`: it must be one ASCII character"),
    (lambda c: c["ingest"].update(encoding="cp99"), "`ingest.encoding`: it must be an encoding of text that Python"),
    (lambda c: c["ingest"].update(encoding="hex"), "`ingest.encoding`: it must be an encoding of text that Python"),
    (lambda c: c["ingest"].update(encoding="a\0b"), "`ingest.encoding`: it must be an encoding of text that Python"),
    (lambda c: c["ingest"].update(compression="rar"), "`ingest.compression`: input should be 'infer', 'none'"),
    (lambda c: exclude(c, amuont=1), "ingest.exclude.tests.amuont: no such column (did you mean `amount`?)"),
    (lambda c: exclude(c, amount="1"), "ingest.exclude.tests.amount: the condition does not fit the type number"),
    (lambda c: exclude(c, amount=True), "ingest.exclude.tests.amount: the condition does not fit the type number"),
    (lambda c: exclude(c, branch={"above": 1}), "ingest.exclude.tests.branch: the condition does not fit the type cat"),
    (lambda c: exclude(c, closed="x"), "ingest.exclude.tests.closed: a new row has no outcome yet"),
    (lambda c: exclude(c, branch=1), "ingest.exclude.tests.branch: the condition does not fit the type category"),
    (lambda c: exclude(c, opened="2020-01-01"), "ingest.exclude.tests.opened: the condition does not fit the type dat"),
    (exclude, "`ingest.exclude.tests`: dictionary should have at least 1 item"),
    (lambda c: exclude(c, amount={}), "`ingest.exclude.tests.amount`: give `above`, `below` or both"),
    (
        lambda c: exclude(c, amount={"above": 2, "below": 1}),
        "`ingest.exclude.tests.amount`: `above`: the lower bound 2",
    ),
    (
        lambda c: exclude(c, amount={"abov": 1}),
        "unknown key `ingest.exclude.tests.amount.abov` (did you mean `above`?)",
    ),
    (lambda c: exclude(c, amount=[1]), "`ingest.exclude.tests.amount`: give a section with keys, or input should be "),
    (lambda c: c.update(label={"kind": "value"}), "`label`: a value label needs `positive`"),
    (lambda c: valued(c, "date", ["x"]), "label: a value label cannot be read from a label column of type date"),
    (
        lambda c: valued(c, "boolean", ["yes"]),
        "label: `positive` holds 'yes', but the label column has the type boolean",
    ),
    (
        lambda c: valued(c, "integer", [1, "bad"]),
        "label: `positive` holds 'bad', but the label column has the type integer",
    ),
]


@pytest.mark.parametrize(("edit", "expected"), MISTAKES, ids=[expected[:50] for _, expected in MISTAKES])
def test_a_mistake_is_a_sentence_naming_the_key(edit: Edit, expected: str, tmp_path: Path) -> None:
    sentence = sentence_after(edit, tmp_path)
    assert sentence.startswith(expected) or f" {expected}" in sentence, sentence
    assert sentence.endswith(".")
    assert "\n" not in sentence


def test_without_a_date_column_dates_are_refused(tmp_path: Path) -> None:
    def undated(content: dict[str, Any]) -> None:
        content["columns"]["opened"] = {"type": "category"}
        valued(content, "category", ["yes"])

    assert sentence_after(undated, tmp_path).startswith(
        "as_of: the table has no column with the role date, so set it to"
    )

    def undated_split(content: dict[str, Any]) -> None:
        undated(content)
        content["as_of"] = content["window"] = None

    assert sentence_after(undated_split, tmp_path).startswith(
        "split: the table has no column with the role date, so give `test_share`, and not `test`"
    )


REMOVED = ["window_months", "label.horizon_months", "split.test_months", "split.strategy", "split.seed"]
REMOVED += ["evaluate.threshold", "train.search.folds"]


@pytest.mark.parametrize("key", REMOVED)
def test_a_key_of_earlier_versions_is_unknown(key: str, tmp_path: Path) -> None:
    def edit(content: dict[str, Any]) -> None:
        *sections, last = key.split(".")
        for section in sections:
            content = content[section]
        content[last] = 1

    assert re.match(rf"unknown key `{re.escape(key)}`.* Correct or remove it\.$", sentence_after(edit, tmp_path))


def test_all_missing_keys_are_told_at_once(tmp_path: Path) -> None:
    def shorten(content: dict[str, Any]) -> None:
        del content["gates"], content["ingest"]["source"], content["contract"]["leak_auc"]
        content["train"]["seed"] = -1

    expected = "the keys `contract.leak_auc`, `gates` and `ingest.source` are missing. Add them."
    assert sentence_after(shorten, tmp_path) == expected


CONSEQUENCES: list[tuple[Edit, str]] = [
    (lambda c: c.update(zzz={}), "unknown key `zzz`. Correct or remove it."),
    (lambda c: c.pop("gates"), "the key `gates` is missing. Add it. The stage evaluate would fail."),
    (
        lambda c: c.update(splitt=c.pop("split")),
        "unknown key `splitt` (did you mean `split`?). Correct or remove it. "
        "The stages ingest, prepare and validate would fail.",
    ),
    (
        lambda c: c["columns"]["amount"].pop("type"),
        "the key `columns.amount.type` is missing. Add it. The stages ingest, prepare and validate would fail.",
    ),
    (
        lambda c: c["contract"]["columns"].update(brnch={}),
        "contract.columns.brnch: no such column (did you mean `branch`?). The stage validate would fail.",
    ),
    (
        lambda c: c["train"].update(random_forest={"max_dept": 3}),
        "`train.random_forest.max_dept`: RandomForestClassifier has no such parameter (did you mean `max_depth`?). "
        "The stage train would fail.",
    ),
    (
        lambda c: c["train"].update(search={"method": "grid", "grid": {"max_depth": [3, -1]}}),
        "`train.search.grid`: The 'max_depth' parameter of RandomForestClassifier must be an int in the range "
        "[1, inf) or None. Got -1 instead. The stage train would fail.",
    ),
]


@pytest.mark.parametrize(("edit", "expected"), CONSEQUENCES, ids=[expected[:50] for _, expected in CONSEQUENCES])
def test_champion_check_says_which_stage_would_fail(edit: Edit, expected: str, tmp_path: Path) -> None:
    assert sentence_after(edit, tmp_path, check) == expected


def test_champion_check_passes_what_every_stage_takes(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    with path.open("w", encoding="utf-8") as stream:
        YAML().dump(document(), stream)
    check(path)


def test_no_sentence_shows_an_address_of_the_validation_library(tmp_path: Path) -> None:
    for edit, _ in MISTAKES:
        assert not re.search(r"https?:|pydantic|type=", sentence_after(edit, tmp_path))


def test_a_hint_is_given_only_for_a_close_name() -> None:
    assert did_you_mean("sate", ["state", "bank"]) == " (did you mean `state`?)"
    assert did_you_mean("sate", ["bank"]) == ""
    assert did_you_mean("sate", []) == ""
