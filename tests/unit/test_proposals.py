"""What is found in a table that nobody described."""

import gzip
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from champion.core.errors import UserError
from champion.core.yaml_text import parse_yaml
from champion.onboarding.column_types import TypedTable, find_types
from champion.onboarding.given import Given, parse_horizon
from champion.onboarding.proposal import Proposal, propose
from champion.onboarding.reading import RawTable, read_file
from champion.params import Params
from champion.table.text_form import PLAIN, TextForm

ROWS = 300
RANDOM = np.random.default_rng(3)
X = RANDOM.normal(size=ROWS).round(3)
Y = np.where(X + RANDOM.normal(size=ROWS) > 0, "yes", "no")


def table(**columns: Any) -> pl.DataFrame:
    """A feature, other columns, and the target y."""
    return pl.DataFrame({"x": X, **columns, "y": Y})


def found(rows: pl.DataFrame, **given: Any) -> Proposal:
    """What is proposed for these rows, whose params.yaml must be valid."""
    proposal = propose(RawTable("t", rows, {"source": "file", "path": "t.csv"}), Given(**{"target": "y"} | given))
    Params.model_validate(parse_yaml(proposal.params))
    return proposal


def declared(rows: pl.DataFrame, **given: Any) -> dict[str, Any]:
    return {column.name: column.declare() for column in found(rows, **given).columns}


def refusal(rows: pl.DataFrame, **given: Any) -> str:
    with pytest.raises(UserError) as error:
        found(rows, **given)
    assert "\n" not in str(error.value)
    return str(error.value)


def types(texts: list[str | None], *, semicolons: bool = False, form: TextForm = PLAIN) -> TypedTable:
    rows = pl.DataFrame({"a": texts, "y": ["yes", "no"] * (len(texts) // 2) + ["no"] * (len(texts) % 2)})
    return find_types(rows, "y", form, semicolons=semicolons)


@pytest.mark.parametrize(
    ("texts", "kind", "form"),
    [
        (["1", "22", None], "integer", {}),
        (["1", " 2 ", "3"], "integer", {}),
        (["1.0", "2.0", "3.0"], "number", {}),
        (["1.5", "-2e3", "?"], "number", {"na_values": ("?",)}),
        (["1.5", "unknown", "n/a", "2"], "number", {"na_values": ("n/a", "unknown")}),
        (["1,234", "12,500"], "integer", {"thousands": ","}),
        (["1,2", "12,55"], "number", {"decimal": ","}),
        (["1.234,5", "2"], "number", {"decimal": ",", "thousands": "."}),
        (["1'234.5", "2"], "number", {"thousands": "'"}),
        (["5", "8", "-999", "7"], "integer", {"na_values": (-999,)}),
        (["5", "8", "9999", "7"], "integer", {"na_values": (9999,)}),
        (["-5", "8", "-999", "-700"], "integer", {}),
        (["yes", "no", "Yes"], "boolean", {}),
        (["0", "1", "1"], "boolean", {}),
        (["red", "blue", "-"], "category", {}),
        (["red", "blue", "?"], "category", {"na_values": ("?",)}),
        (["2020-01-31", "2021-02-01T10:00:00Z"], "date", {}),
        (["31.01.2020", "01.02.2021"], "date", {"date_format": "%d.%m.%Y"}),
        (["01/31/2020", "02/01/2021"], "date", {"date_format": "%m/%d/%Y"}),
        (["31/01/2020 10:30", "01/02/2021 23:59"], "date", {"date_format": "%d/%m/%Y %H:%M"}),
        (["28-Feb-97", "01-Mar-05"], "date", {"date_format": "%d-%b-%y"}),
        (["28-Feb-00", "01-Mar-05"], "date", {"date_format": "%d-%b-%y"}),
        (["9" * 25, "8" * 25], "number", {}),
        (["01234", "12345"], "category", {}),
        (["0.875", "7.465"], "number", {}),
    ],
)
def test_the_type_and_the_form_of_texts_are_found(texts: list[str | None], kind: str, form: dict[str, Any]) -> None:
    typed = types(texts)
    assert typed.types["a"] == kind
    assert typed.form.model_dump(exclude_defaults=True) == form


def test_with_semicolons_a_comma_is_a_decimal_mark_where_it_could_be_either() -> None:
    assert types(["1,234", "5,678"], semicolons=True).form.decimal == ","
    assert types(["1,234", "5,678"]).form.thousands == ","


def test_a_column_in_another_form_than_most_is_not_read_wrongly() -> None:
    rows = table(
        price=[f"{number}.465,52" for number in range(1, ROWS + 1)],
        rate=[f"0.{number}" for number in range(100, 100 + ROWS)],
    )
    typed = find_types(rows, "y", semicolons=True)
    assert (typed.types["price"], typed.types["rate"]) == ("number", "category")
    source = {"source": "file", "path": "t.csv", "separator": ";"}
    notes = propose(RawTable("t", rows, source), Given("y")).notes
    assert any(
        "'rate' looks like numbers in another form, such as '0.100', and is read as text" in note for note in notes
    )


def test_marks_that_could_be_read_in_two_ways_are_told() -> None:
    typed = types(["1,234", "5,678"])
    assert typed.notes == [
        "'1,234' of 'a' could be 1,234.0 or 1.234; the first is taken. --decimal and --thousands say otherwise"
    ]
    assert types(["1,234", "5,678"], form=TextForm(decimal=",")).rows["a"].to_list() == [1.234, 5.678]


def test_days_come_first_where_commas_are_decimal() -> None:
    rows = pl.DataFrame({"a": ["01/02/2020", "03/04/2021"], "b": ["1,5", "2,25"], "y": ["yes", "no"]})
    assert find_types(rows, "y", semicolons=True).form.date_format == "%d/%m/%Y"


def test_a_date_format_that_fits_nothing_is_refused() -> None:
    with pytest.raises(UserError, match=r"no column has dates of the form '%Y'. Correct --date-format."):
        types(["01/02/2020", "03/04/2021"], form=TextForm(date_format="%Y"))


@pytest.mark.parametrize("unit", ["{} €", "{}%", "$ {}", "({})", "{}-"])
def test_numbers_with_a_unit_are_told(unit: str) -> None:
    notes = found(table(amount=[unit.format(f"{number}.5") for number in range(ROWS)])).notes
    assert any(note.startswith("'amount' looks like numbers in another form, such as ") for note in notes)


def test_a_line_of_totals_is_left_out() -> None:
    days = [date(2020, 1, 1) + timedelta(days=number * 4) for number in range(ROWS - 1)]
    proposal = found(table(day=[*days, None]))
    assert proposal.split.sections["as_of"] is not None
    assert "1 rows have no date in 'day' and are left out; a line of totals is such a row" in proposal.notes


def test_few_rows_of_an_outcome_are_told() -> None:
    rows = pl.DataFrame({"x": X, "y": np.where(np.sort(X)[-20] < X, "yes", "no")})
    assert "only 19 rows have the rarer outcome, so no result will say much" in found(rows).notes


@pytest.mark.parametrize("name", ["*", "^a$", "(target)", "(fold)", ""])
def test_a_name_that_no_column_can_have_is_refused(name: str) -> None:
    assert refusal(table(**{name: X})).startswith("t: columns: ")


@pytest.mark.parametrize(
    "name", ["self", "class", "y y", "a: b", "it's", '"q"', "#", "a\nb", "x" * 200, "- a", "{a}", "null"]
)
def test_any_other_name_is_written_as_it_is(name: str) -> None:
    assert name in declared(table(**{name: X[::-1]}))


def test_exchangeable_days_and_months_are_told() -> None:
    typed = types(["01/02/2020", "03/04/2021"])
    assert typed.form.date_format == "%m/%d/%Y"
    assert typed.notes == [
        "the dates of 'a' fit %m/%d/%Y and %d/%m/%Y; the first is taken. --date-format '%d/%m/%Y' takes the other"
    ]
    assert types(["01/02/2020", "03/04/2021"], form=TextForm(date_format="%d/%m/%Y")).rows["a"].to_list() == [
        date(2020, 2, 1),
        date(2021, 4, 3),
    ]


def test_roles_are_found() -> None:
    days = [date(2020, 1, 1) + timedelta(days=number * 4) for number in range(ROWS)]
    columns = declared(
        table(
            loan_id=[f"L{number}" for number in range(ROWS)],
            customer_id=RANDOM.integers(0, 100, ROWS),
            opened=days,
            closed=[day + timedelta(days=9) for day in days],
            constant=["same"] * ROWS,
            row=range(ROWS),
            remark=[f"remark {number}" for number in range(ROWS)],
            copy=np.where(Y == "yes", "good", "bad"),
        )
    )
    roles = {name: column.get("role", "feature") for name, column in columns.items()}
    assert roles == {
        "x": "feature", "loan_id": "id", "customer_id": "group", "opened": "date", "closed": "ignore",
        "constant": "ignore", "row": "ignore", "remark": "ignore", "copy": "ignore", "y": "label",
    }  # fmt: skip


def test_what_is_given_counts_more_than_what_is_found() -> None:
    columns = declared(table(key=range(ROWS), town=RANDOM.choice(["a", "b"], ROWS)), id="key", ignore=("town",))
    assert columns["key"]["role"] == "id"
    assert columns["town"]["role"] == "ignore"


def test_limits_are_wide_ranges_and_few_texts() -> None:
    columns = declared(
        table(
            age=RANDOM.integers(20, 71, ROWS),
            debt=X * 100,
            town=RANDOM.choice(["a", "b"], ROWS),
            code=RANDOM.integers(0, 9, ROWS),
        )
    )
    assert columns["age"]["range"] == [0, 120]
    assert columns["debt"]["range"][0] < 2 * X.min() * 100
    assert columns["town"]["values"] == ["a", "b"]


@pytest.mark.parametrize(
    ("values", "given", "label"),
    [
        (["yes", "no"], {}, {"kind": "value", "positive": ["yes"]}),
        (["good", "bad"], {}, {"kind": "value", "positive": ["bad"]}),
        (["good", "bad"], {"positive": ("good",)}, {"kind": "value", "positive": ["good"]}),
        ([1, 0], {}, {"kind": "value", "positive": [1]}),
        ([1.0, 0.0], {}, {"kind": "value", "positive": [1]}),
        (["1.0", "0.0"], {}, {"kind": "value", "positive": [1]}),
        ([True, False], {}, {"kind": "value", "positive": [True]}),
        (["j", "n", "j"], {}, {"kind": "value", "positive": ["j"]}),
        (["Non-democracy", "Democracy"], {}, {"kind": "value", "positive": ["Democracy"]}),
        ([0, 1, 2], {"negative": ("0",)}, {"kind": "value", "positive": [1, 2], "negative": [0]}),
        (["M", "F", "F"], {}, {"kind": "value", "positive": ["M"]}),
        (
            ["paid", "late", "open"],
            {"positive": ("late",), "negative": ("paid",)},
            {"kind": "value", "positive": ["late"], "negative": ["paid"]},
        ),
    ],
)
def test_the_label_is_found(values: list[Any], given: dict[str, Any], label: dict[str, Any]) -> None:
    target = (values * ROWS)[:ROWS]
    assert found(table().drop("y").with_columns(y=pl.Series(target)), **given).label.section == label


@pytest.mark.parametrize(
    ("values", "given", "said"),
    [
        (["a", "b", "c"], {}, "the target 'y' has 3 values: 'a' (100 rows), 'b' (100 rows), 'c' (100 rows). Say with"),
        ([1.5, 2.5, 3.5], {}, "the target 'y' is a number with 3 values. Champion predicts one of two outcomes"),
        (["a"], {}, "the target 'y' has 'a' (300 rows), so nothing can be learned"),
        (["a", "b"], {"positive": ("c",)}, "the target 'y' has no value 'c'. It has 'a' (150 rows), 'b' (150 rows)."),
        (["a", "b"], {"positive": ("a", "b")}, "each value of the target 'y' is positive"),
        (["a", "b"], {"target": "z"}, "there is no column 'z'. Correct --target; the columns are 'x', 'y'."),
        (["a", "b"], {"id": "y"}, "--target and --id both name the column 'y'. Remove one."),
        (["a", "b"], {"date": "x"}, "the column 'x' holds no dates that are known. Correct --date"),
        (["2020-01-01", "2021-01-01"], {}, "the target 'y' is the date of an event. Give the date of the row with"),
    ],
)
def test_a_target_that_cannot_be_used_is_refused(values: list[Any], given: dict[str, Any], said: str) -> None:
    rows = table().drop("y").with_columns(y=pl.Series((values * ROWS)[:ROWS]).sort())
    assert said in refusal(rows, **given)


def test_a_horizon_without_dates_is_refused() -> None:
    assert "--horizon is a time after the row's date. Give the date with --date." in refusal(table(), horizon=24)


def test_a_split_without_both_outcomes_names_the_options() -> None:
    rows = table(key=np.where(Y == "yes", "a", "b"))
    assert "no split of its 300 rows has both outcomes on both sides" in refusal(rows, group="key")


def test_a_short_history_is_split_without_dates_unless_they_are_given() -> None:
    rows = table(day=[date(2020, 1, 1 + number % 2) for number in range(ROWS)]).with_columns(
        y=pl.when(pl.col("day") == date(2020, 1, 2)).then(pl.lit("no")).otherwise("y")
    )
    proposal = found(rows.with_columns(later=pl.col("day") + timedelta(days=1)))
    assert proposal.split.sections["as_of"] is None
    assert "the history by 'day' is too short" in proposal.notes[0]
    assert "the history is too short: no split by date has 50 rows" in refusal(rows, date="day")


def test_a_suspicious_feature_is_named_and_kept() -> None:
    rows = table(almost=np.where(RANDOM.random(ROWS) < 0.97, Y == "yes", Y != "yes"))
    proposal = found(rows)
    assert "'almost' alone has a ROC AUC of 0.9" in proposal.notes[0]
    assert "role" not in {column.name: column.declare() for column in proposal.columns}["almost"]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_the_separator_and_the_encoding_are_found(separator: str, encoding: str, tmp_path: Path) -> None:
    text = separator.join(("größe", "y")) + "\n" + separator.join(("1", "ä")) + "\n"
    (tmp_path / "t.csv").write_bytes(text.encode(encoding))
    read = read_file(tmp_path / "t.csv", None, None)
    assert read.rows.rows() == [("1", "ä")]
    assert read.source.get("separator", ",") == separator


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "t.csv: the file is empty."),
        (b"a,b\n", "t.csv: the table has a header but no rows."),
        (b"abc\n1\n2\n", "t.csv: no comma, semicolon, tab or bar separates all of its rows"),
        (b"a,a\n1,2\n", "t.csv: the column 'a' occurs 2 times. Rename one."),
        (b"PK\x03\x04broken", "t.csv: cannot be read as zip ("),
        (b"Report 2021,,\na,b,c\n1,2,3\n", "t.csv: line 1 is no header, as 2 of its 3 columns have no name."),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(UserError) as error:
        read_file(tmp_path / "t.csv", None, None)
    assert str(error.value).startswith(said)


def test_a_compressed_file_in_utf_16_is_read(tmp_path: Path) -> None:
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress("a;y\nä;1\n".encode("utf-16")))
    read = read_file(tmp_path / "t.csv.gz", None, None)
    assert (read.rows.rows(), read.source["encoding"]) == ([("ä", "1")], "utf-16")


def test_options_that_no_file_can_have_are_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a\ty\n1\t2\n")
    assert read_file(tmp_path / "t.csv", None, "\\t").rows.rows() == [("1", "2")]
    for encoding, separator, said in (
        (None, "||", "--separator: "),
        (None, "", "--separator: "),
        ("klingon", None, "--encoding: "),
    ):
        with pytest.raises(UserError, match=f"^{said}"):
            read_file(tmp_path / "t.csv", encoding, separator)
    with pytest.raises(UserError, match=r"a folder, no file"):
        read_file(tmp_path, None, None)


def test_a_horizon_is_months_or_days() -> None:
    assert (parse_horizon("24"), parse_horizon("30d"), parse_horizon(None)) == (24, "30d", None)
    with pytest.raises(UserError, match="--horizon: give a number of months"):
        parse_horizon("two years")
