"""Tables from files and wheels. tests/integration tests databases."""

from datetime import date
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from champion.core.errors import UserError
from champion.core.layout import SOURCE
from champion.pipeline.ingest.loans import SOURCE_COLUMNS, loan_fields
from champion.pipeline.ingest.params import FileSource, WheelSource
from champion.pipeline.ingest.sources import read_table
from champion.table.columns import Column, Columns, dtype
from champion.table.fields import MISSING_VALUES
from champion.table.window import Period

COLUMNS = Columns(
    {
        "day": Column(type="date", role="date"),
        "count": Column(type="integer"),
        "amount": Column(type="number"),
        "kind": Column(type="category"),
        "bad": Column(type="boolean", role="label"),
        "note": Column(type="category", role="ignore"),
    }
)
KEPT = [name for name in COLUMNS if name != "note"]
HEADER = ",".join(COLUMNS)
ROW = "2020-01-02,3,1.5,a,yes,n"
PERIOD = Period(date(2019, 5, 1), date(2021, 1, 1))


@pytest.fixture(autouse=True)
def _source_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data/source").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)


def put(content: str | bytes, name: str = "t.csv") -> FileSource:
    data = content.encode() if isinstance(content, str) else content
    (SOURCE / name).write_bytes(data)
    return FileSource(source="file", path=name)


def put_parquet(table: pl.DataFrame) -> FileSource:
    table.write_parquet(SOURCE / "t.parquet")
    return FileSource(source="file", path="t.parquet")


def refusal(source: FileSource | WheelSource, columns: Columns = COLUMNS, period: Period | None = None) -> str:
    with pytest.raises(UserError) as error:
        read_table(source, columns, period)
    assert "\n" not in str(error.value)
    assert str(error.value).endswith(".")
    return str(error.value)


def test_a_csv_file_is_read_typed_in_order_without_ignored_columns() -> None:
    table = read_table(put(f"{HEADER}\n{ROW}\n,,,,,\n"), COLUMNS, None)
    assert table.schema == {name: dtype(COLUMNS[name].type) for name in KEPT}
    assert table.rows() == [(date(2020, 1, 2), 3, 1.5, "a", True), (None,) * 5]


def test_another_separator_a_byte_order_mark_and_windows_line_ends_are_read() -> None:
    text = f"{HEADER}\r\n{ROW}\r\n".replace(",", ";")
    put(b"\xef\xbb\xbf" + text.encode())
    table = read_table(FileSource(source="file", path="t.csv", separator=";"), COLUMNS, None)
    assert table["count"].to_list() == [3]


def test_dates_are_read_in_the_declared_format() -> None:
    put(f"{HEADER}\n02/01/2020,3,1.5,a,yes,n\n")
    table = read_table(FileSource(source="file", path="t.csv", date_format="%d/%m/%Y"), COLUMNS, None)
    assert table["day"].to_list() == [date(2020, 1, 2)]


@pytest.mark.parametrize("word", MISSING_VALUES)
def test_every_word_for_missing_is_missing(word: str) -> None:
    table = read_table(put(f"{HEADER}\n{ROW}\n{','.join([word] * 6)}\n"), COLUMNS, None)
    assert table.row(1) == (None,) * 5


CELL = st.text("ab ,;\"'\n|é", min_size=1).filter(lambda text: text not in MISSING_VALUES)


@given(st.lists(st.tuples(CELL, st.integers(-(10**12), 10**12), st.floats(-1e9, 1e9)), min_size=1, max_size=20))
def test_a_written_table_comes_back_as_it_was(rows: list[tuple[str, int, float]]) -> None:
    columns = Columns(
        {"text": Column(type="category"), "whole": Column(type="integer"), "real": Column(type="number")}
        | {"bad": Column(type="boolean", role="label")}
    )
    table = pl.DataFrame(
        [(*row, row[1] > 0) for row in rows],
        schema={"text": pl.String, "whole": pl.Int64, "real": pl.Float64, "bad": pl.Boolean},
        orient="row",
    )
    table.write_csv(SOURCE / "t.csv")
    assert read_table(FileSource(source="file", path="t.csv"), columns, None).equals(table)
    assert read_table(put_parquet(table), columns, None).equals(table)


def test_a_file_is_read_from_another_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = put(f"{HEADER}\n{ROW}\n")
    monkeypatch.chdir("/")
    assert read_table(source, COLUMNS, None, tmp_path).height == 1
    assert "data/source/t.csv: no such file" in refusal(source)


def test_only_rows_inside_the_window_are_read_and_undated_ones() -> None:
    days = ["2019-04-30", "2019-05-01", "2020-12-31", "2021-01-01", ""]
    source = put(HEADER + "\n" + "".join(f"{day},1,1,a,yes,n\n" for day in days))
    assert read_table(source, COLUMNS, PERIOD)["day"].to_list() == [date(2019, 5, 1), date(2020, 12, 31), None]
    assert read_table(source, COLUMNS, None).height == 5


def test_a_window_without_rows_says_which_dates_there_are() -> None:
    source = put(f"{HEADER}\n{ROW}\n")
    sentence = refusal(source, period=Period(date(1899, 5, 1), date(1901, 1, 1)))
    assert "no row is in the window, from 1899-05-01 to before 1901-01-01" in sentence
    assert "2020-01-02" in sentence
    assert "`as_of`" in sentence


def test_a_window_over_no_date_at_all_is_refused() -> None:
    assert "'day' holds no date" in refusal(put(f"{HEADER}\n,3,1.5,a,yes,n\n"), period=PERIOD)


def test_dates_in_the_year_0_are_told() -> None:
    said = refusal(put(f"{HEADER}\n{ROW.replace('2020-01-02', '0000-11-11')}\n"), period=PERIOD)
    assert "the rows have dates from 0000-11-11 to 0000-11-11" in said


def test_a_column_of_a_csv_file_without_a_name_is_called_as_in_pandas() -> None:
    source = put(f",{HEADER}\n0,{ROW}\n")
    assert "the column 'Unnamed: 0' is not declared" in refusal(source)
    assert read_table(source, Columns({"Unnamed: 0": Column(type="integer")} | COLUMNS), None).row(0)[0] == 0


def test_a_column_of_a_parquet_file_without_a_name_is_refused() -> None:
    source = put_parquet(PARQUET.select(pl.lit(0).alias(""), pl.all()))
    assert "column 1 has no name. Give it one, or remove the column." in refusal(source)


@pytest.mark.parametrize("period", [None, PERIOD])
def test_a_header_without_rows_is_refused_as_such(period: Period | None) -> None:
    assert "the table has a header but no rows" in refusal(put(HEADER + "\n"), period=period)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "data/source/t.csv: the file is empty"),
        (f"{HEADER},more\n{ROW},x\n", "the column 'more' is not declared"),
        (HEADER.removesuffix(",note") + "\n2020-01-02,3,1.5,a,yes\n", "the column 'note' is missing"),
        (f"{HEADER},day\n{ROW},x\n", "the column 'day' occurs 2 times"),
        (
            "count,day,amount,kind,bad,note\n3,2020-01-02,1.5,a,yes,n\n",
            "column 1 is 'count', but params.yaml declares",
        ),
        (
            f"{HEADER}\n2020-01-02,three,1.5,a,yes,n\n",
            "1 value of column 'count' cannot be read as integer, such as 'three'",
        ),
        (f"{HEADER}\n2020-01-02,3,inf,a,yes,n\n", "1 value of column 'amount' cannot be read as number, such as 'inf'"),
        (f"{HEADER}\n2020-01-02,3,1.5,a,perhaps,n\n", "column 'bad' cannot be read as boolean, such as 'perhaps'"),
        (f"{HEADER}\n" + "2020-13-01,3,1.5,a,yes,n\n" * 4, "4 values of column 'day' cannot be read as date"),
        ((HEADER + "\n" + ROW.replace("a", "é") + "\n").encode("latin-1"), "UTF-8"),
        ((HEADER.replace("kind", "kïnd") + "\n" + ROW).encode("latin-1"), "the text is not UTF-8"),
    ],
)
def test_a_bad_csv_file_is_a_sentence(content: str | bytes, expected: str) -> None:
    assert expected in refusal(put(content))


def test_a_row_with_more_cells_than_the_header_is_refused() -> None:
    whole = Columns(COLUMNS | {"note": Column(type="category")})
    said = refusal(put(f"{HEADER}\n{ROW}\n{ROW},too many\n"), whole)
    assert "line 3 has 7 values, but the header has 6. Put a value that holds the separator ',' in quotes, or" in said
    assert "`ingest.separator`" in said


def test_unreadable_dates_hint_at_the_format() -> None:
    assert "`ingest.date_format`" in refusal(put(f"{HEADER}\n1/2/2020,3,1.5,a,yes,n\n"))


def test_no_such_file_says_where_it_belongs() -> None:
    assert "data/source/absent.csv: no such file" in refusal(FileSource(source="file", path="absent.csv"))


PARQUET = pl.DataFrame(
    {"day": [date(2020, 1, 2)], "count": [3], "amount": [1.5], "kind": ["a"], "bad": [True], "note": ["n"]}
)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"count": pl.Series([1.5])}, "1 value of column 'count' cannot be read as integer, such as '1.5'"),
        ({"kind": pl.Series([1.5])}, "the column 'kind' holds Float64, but params.yaml declares category"),
        ({"amount": pl.Series(["x"])}, "1 value of column 'amount' cannot be read as number, such as 'x'"),
        ({"amount": pl.Series([float("inf")])}, "1 value of column 'amount' cannot be read as number, such as 'inf'"),
        ({"bad": pl.Series([2])}, "1 value of column 'bad' cannot be read as boolean, such as '2'"),
        ({"more": pl.Series([1])}, "the column 'more' is not declared"),
    ],
)
def test_a_bad_parquet_file_is_a_sentence(change: dict[str, pl.Series], expected: str) -> None:
    assert expected in refusal(put_parquet(PARQUET.with_columns(**change)))


def test_parquet_without_rows_is_refused() -> None:
    assert "no rows" in refusal(put_parquet(PARQUET.clear()))


@pytest.mark.parametrize("keep", [4, 40, -20])
def test_truncated_parquet_is_a_sentence(keep: int) -> None:
    put_parquet(PARQUET)
    path = SOURCE / "t.parquet"
    path.write_bytes(path.read_bytes()[:keep])
    assert "t.parquet: not readable Parquet" in refusal(FileSource(source="file", path="t.parquet"))


def test_damage_inside_a_parquet_file_is_a_sentence() -> None:
    put_parquet(pl.concat([PARQUET] * 1000))
    path = SOURCE / "t.parquet"
    content = bytearray(path.read_bytes())
    content[4:300] = bytes(296)
    path.write_bytes(bytes(content))
    assert "t.parquet: cannot be read as Parquet" in refusal(FileSource(source="file", path="t.parquet"))


def test_pandas_categories_are_read_as_text() -> None:
    frame = pd.DataFrame(
        {"day": [pd.Timestamp("2020-01-02")], "count": pd.Series(["3"], dtype="category"), "amount": [1.5]}
        | {"kind": pd.Series(["a"], dtype="category"), "bad": [True], "note": ["n"]}
    )
    frame.to_parquet(SOURCE / "t.parquet")
    table = read_table(FileSource(source="file", path="t.parquet"), COLUMNS, PERIOD)
    assert table.schema == {name: dtype(COLUMNS[name].type) for name in KEPT}
    assert table.rows() == [(date(2020, 1, 2), 3, 1.5, "a", True)]


def loan_columns() -> Columns:
    types: dict[str, Any] = {"approval_date": "date", "charge_off_date": "date", "outcome_known": "boolean"}
    types |= {"loan_id": "integer", "franchise": "boolean", "amount_approved": "number", "guaranteed_share": "number"}
    types |= dict.fromkeys(["employees", "jobs_created", "jobs_retained"], "integer")
    roles: dict[str, Any] = {"approval_date": "date", "charge_off_date": "label", "loan_id": "id", "lender": "ignore"}
    roles |= {"outcome_known": "known"}
    return Columns(
        {
            field.name: Column(type=types.get(field.name, "category"), role=roles.get(field.name, "feature"))
            for field in loan_fields()
        }
    )


def test_a_text_that_stands_for_no_value_does_so_in_parquet() -> None:
    rows = [PARQUET.with_columns(kind=pl.lit(word)) for word in ["", "NA", "a"]]
    table = read_table(put_parquet(pl.concat(rows)), COLUMNS, None)
    assert table["kind"].to_list() == [None, None, "a"]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_the_loan_adapter_reads_both_kinds_of_file(suffix: str) -> None:
    loan = dict.fromkeys(SOURCE_COLUMNS, "1") | {
        "ApprovalDate": "28-Feb-20", "ChgOffDate": None, "GrAppv": "$2,000.00 ", "SBA_Appv": "$1,000.00 ",
    }  # fmt: skip
    table = pl.DataFrame([loan], schema=dict.fromkeys(SOURCE_COLUMNS, pl.String))
    path = SOURCE / f"loans.{suffix}"
    table.write_csv(path) if suffix == "csv" else table.write_parquet(path)
    source = FileSource(source="file", path=path.name, adapter="loans")
    read = read_table(source, loan_columns(), PERIOD)
    assert read.columns == [field.name for field in loan_fields() if field.name != "lender"]
    assert read.select("approval_date", "guaranteed_share").row(0) == (date(2020, 2, 28), 0.5)


def test_the_loan_adapter_refuses_another_table() -> None:
    put(f"{HEADER}\n{ROW}\n")
    source = FileSource(source="file", path="t.csv", adapter="loans")
    assert "the column 'LoanNr_ChkDgt', 'Name'" in refusal(source, loan_columns())


def wheel(**changes: str) -> WheelSource:
    files = {"distribution": "polars", "path": "polars/py.typed", "sha256": "0" * 64}
    return WheelSource(source="wheel", **(files | changes))


def test_a_wheel_that_is_not_installed_is_a_sentence() -> None:
    assert "no-such-wheel: not installed. Run `make repro`" in refusal(wheel(distribution="no-such-wheel"))


def test_a_wheel_without_the_file_is_a_sentence() -> None:
    assert "polars: it has no file nowhere.csv" in refusal(wheel(path="nowhere.csv"))


def test_a_wheel_whose_file_has_another_hash_is_refused() -> None:
    assert Path(str(distribution("polars").locate_file("polars/__init__.py"))).is_file()
    assert "but `ingest.sha256` in params.yaml has another one" in refusal(wheel(path="polars/__init__.py"))
