"""Every kind of bad input is one sentence that names the file, column or key and the fix, and changes nothing."""

import re
from collections.abc import Callable
from datetime import date
from typing import Any

import polars as pl
import pytest

from champion.core.errors import UserError
from champion.core.strict_yaml import read
from champion.params import Params
from support.project import Project
from support.refusals import refusal, run_stage, sentence, sentence_of_process, snapshot
from support.small import TABLE, small_table

Break = Callable[[Project], None]

# Permissions do not apply to root unless it gives up two capabilities (PR_CAPBSET_DROP of CAP_DAC_OVERRIDE and
# CAP_DAC_READ_SEARCH); a write beyond RLIMIT_FSIZE fails half done, as on a full disk.
WITHOUT_POWERS = "import ctypes; drop = ctypes.CDLL(None).prctl; [drop(24, power, 0, 0, 0) for power in (1, 2)]"
ON_A_FULL_DISK = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))"


def table(change: Callable[[pl.DataFrame], pl.DataFrame]) -> Break:
    return lambda project: change(small_table()).write_csv(project.folder / TABLE)


def text(change: Callable[[str], str], encoding: str = "utf-8") -> Break:
    def apply(project: Project) -> None:
        path = project.folder / TABLE
        path.write_bytes(change(path.read_text(encoding="utf-8")).encode(encoding))

    return apply


def parquet(change: Callable[[pl.DataFrame], pl.DataFrame], keep: float = 1.0) -> Break:
    def apply(project: Project) -> None:
        path = project.folder / "data/source/cases.parquet"
        change(small_table()).write_parquet(path)
        whole = path.read_bytes()
        path.write_bytes(whole[: int(len(whole) * keep)])
        project.edit_params(lambda params: params["ingest"].update(path=path.name))

    return apply


def params(change: Callable[[dict[str, Any]], Any]) -> Break:
    return lambda project: project.edit_params(change)


def value(column: str, written: str) -> Break:
    """Replace the value of the column in the 700th row."""
    row = pl.int_range(pl.len()) == 700
    return table(lambda rows: rows.with_columns(pl.when(row).then(pl.lit(written)).otherwise(column).alias(column)))


FILES: dict[str, tuple[Break, str]] = {
    "no such file": (
        lambda project: (project.folder / TABLE).unlink(),
        f"{TABLE}: no such file. Put the table there, or correct `ingest.path` in params.yaml.",
    ),
    "a folder": (
        params(lambda p: p["ingest"].update(path=".")),
        "data/source: no such file. Put the table there, or correct `ingest.path`",
    ),
    "empty file": (text(lambda _: ""), f"{TABLE}: the file is empty. Give a table with a header and rows."),
    "blank line": (text(lambda _: "\n"), f"{TABLE}: the column .* is missing"),
    "header only": (
        table(lambda rows: rows.head(0)),
        f"{TABLE}: the table has a header but no rows. Give a table with rows.",
    ),
    "truncated parquet": (
        parquet(lambda rows: rows, keep=0.5),
        r"data/source/cases.parquet: not readable Parquet \(.+\). Write the file again.",
    ),
    "parquet cut to its magic": (
        parquet(lambda rows: rows, keep=0.0002),
        r"data/source/cases.parquet: not readable Parquet \(.+\). Write the file again.",
    ),
    "empty parquet table": (
        parquet(lambda rows: rows.head(0)),
        "data/source/cases.parquet: the table has a header but no rows. Give a table with rows.",
    ),
    "csv named parquet": (
        lambda project: [
            (project.folder / TABLE).rename(project.folder / "data/source/cases.parquet"),
            project.edit_params(lambda p: p["ingest"].update(path="cases.parquet")),
        ],
        r"data/source/cases.parquet: not readable Parquet \(.+\). Write the file again.",
    ),
    "latin-1": (
        text(lambda content: content.replace("south", "süd"), "latin-1"),
        f"{TABLE}: the text is not UTF-8: byte .*, in line 2, 0xfc. Set `ingest.encoding` in params.yaml",
    ),
    "latin-1 in the header": (
        text(lambda content: content.replace("region", "région"), "latin-1"),
        f"{TABLE}: the text is not UTF-8: byte 14, in line 1, 0xe9. Set `ingest.encoding`.* or save the file as UTF-8.",
    ),
    "utf-16": (
        text(lambda content: content, "utf-16"),
        f"{TABLE}: the text is not UTF-8: byte 1, in line 1, 0xff. Set `ingest.encoding`.* such as cp1252 or utf-16",
    ),
    "another separator": (
        params(lambda p: p["ingest"].update(separator=";")),
        f"{TABLE}: with the separator ';', the header has only one column, 'case,opened,.*'. "
        "Correct `ingest.separator` in params.yaml, or the file.",
    ),
    "a row too long": (
        text(lambda content: content.replace("remark 700,", "remark 700,one,more,")),
        rf"{TABLE}: line 702 has \d+ values, but the header has \d+. Put a value that holds the separator",
    ),
    "a quote left open": (
        text(lambda content: content.replace("remark 700,", '"remark 700,')),
        rf"{TABLE}: cannot be read as CSV \(.+\). Repair or re-export the file.",
    ),
}

COLUMNS: dict[str, tuple[Break, str]] = {
    "missing target": (
        table(lambda rows: rows.drop("outcome")),
        f"{TABLE}: the column 'outcome' is missing. Add it to the table, or correct `columns` in params.yaml.",
    ),
    "missing feature": (
        table(lambda rows: rows.drop("amount")),
        f"{TABLE}: the column 'amount' is missing. Add it to the table, or correct `columns` in params.yaml.",
    ),
    "extra": (
        table(lambda rows: rows.with_columns(surprise=1)),
        f"{TABLE}: the column 'surprise' is not declared. Declare it under `columns` in params.yaml",
    ),
    "reordered": (
        table(lambda rows: rows.select("opened", "case", pl.all().exclude("opened", "case"))),
        f"{TABLE}: column 1 is 'opened', but params.yaml declares 'case'. Put `columns` in the table's order.",
    ),
    "duplicated": (
        text(lambda content: content.replace("case,", "opened,", 1)),
        f"{TABLE}: the column 'opened' occurs 2 times. Rename one.",
    ),
    "missing in parquet": (
        parquet(lambda rows: rows.drop("outcome")),
        "data/source/cases.parquet: the column 'outcome' is missing. Add it to the table, or correct `columns`",
    ),
    "extra in parquet": (
        parquet(lambda rows: rows.with_columns(surprise=1)),
        "data/source/cases.parquet: the column 'surprise' is not declared. Declare it under `columns`",
    ),
    "reordered in parquet": (
        parquet(lambda rows: rows.select(reversed(rows.columns))),
        "data/source/cases.parquet: column 1 is 'outcome', but params.yaml declares 'case'. Put `columns` in",
    ),
}

LINE = rf"{TABLE}, line \d+"
VALUES: dict[str, tuple[Break, str]] = {
    "text for a number": (
        value("amount", "a lot"),
        f"{LINE}: 1 value of column 'amount' cannot be read as number, such as 'a lot'. Correct them, or in "
        "params.yaml the column's `type`, `ingest.decimal` or `ingest.thousands`. If they mean a missing value, put "
        r"`na_values: \[a lot\]` below `ingest`.",
    ),
    "a fraction for an integer": (
        value("visits", "2.5"),
        f"{LINE}: 1 value of column 'visits' .* integer.* '2.5'",
    ),
    "beyond 64 bits": (
        value("visits", "9" * 20),
        f"{LINE}: 1 value of column 'visits' .* integer.* '9{{20}}'",
    ),
    "neither true nor false": (
        value("member", "maybe"),
        f"{LINE}: 1 value of column 'member' .* boolean.* 'maybe'",
    ),
    "text for every number": (
        table(lambda rows: rows.with_columns(amount=pl.col("remark"))),
        f"{LINE}: 1,000 values of column 'amount' cannot be read as number, such as 'remark 0', 'remark 1', ",
    ),
    "infinite": (value("amount", "inf"), f"{LINE}: 1 value of column 'amount' .* number, such as 'inf'"),
    "too large": (
        value("amount", "-1e999"),
        f"{LINE}: 1 value of column 'amount' .* number, such as '-1e999'",
    ),
    "infinite in parquet": (
        parquet(lambda rows: rows.with_columns(amount=pl.when(pl.col("case") < 3).then(-1.0).otherwise("amount") / 0)),
        "data/source/cases.parquet, row 1: 1,000 values of column 'amount' .* number, such as '-inf', 'inf'",
    ),
    "a type of parquet": (
        parquet(lambda rows: rows.with_columns(pl.col("opened").dt.year())),
        "data/source/cases.parquet: the column 'opened' holds Int32, but params.yaml declares date. Correct its `type`",
    ),
    "a date in another format": (
        value("opened", "31/12/2020"),
        f"{LINE}: 1 value of column 'opened' cannot be read as date, such as '31/12/2020'. Correct them, or "
        "in params.yaml the column's `type` or `ingest.date_format`. If they mean a missing value, put "
        r"`na_values: \[31/12/2020\]` below `ingest`.",
    ),
    "no day of the calendar": (value("opened", "2021-02-29"), "column 'opened' cannot be read as date.* '2021-02-29'"),
    "no date at all": (
        table(lambda rows: rows.with_columns(opened=None)),
        f"{TABLE}: the column 'opened' holds no date. Correct the table, or `columns` in params.yaml.",
    ),
    "as_of before the data": (
        params(lambda p: p.update(as_of="2010-01-01")),
        f"{TABLE}: no row is in the window, from 2003-01-01 to before 2010-01-01; the rows have dates "
        r"from 2018-07-\d\d to 2022-06-\d\d. Correct `as_of`, `window`, `split.test` or `label.horizon` in params",
    ),
    "as_of long after the data": (
        params(lambda p: p.update(as_of="2040-01-01")),
        f"{TABLE}: no row is in the window, from 2033-01-01 to before 2040-01-01; .*Correct `as_of`",
    ),
}


@pytest.mark.parametrize("case", [*FILES, *COLUMNS, *VALUES])
def test_ingest_refuses(small: Project, case: str) -> None:
    spoil, says = (FILES | COLUMNS | VALUES)[case]
    spoil(small)
    assert re.search(says, sentence(small, "ingest"))


@pytest.mark.parametrize("case", ["no such file", "extra", "text for a number"])
def test_a_refusing_process_fails_with_one_line_and_changes_nothing(small: Project, case: str) -> None:
    spoil, says = (FILES | COLUMNS | VALUES)[case]
    spoil(small)
    assert re.search(says, sentence_of_process(small, "ingest"))


SPLITS: dict[str, tuple[Break, str]] = {
    "one class only": (
        table(lambda rows: rows.with_columns(outcome=pl.lit("good"))),
        "the label column 'outcome' holds no value of `label.positive` ..bad... It holds 'good' .1,000 rows.",
    ),
    "one class in the test": (
        table(
            lambda rows: rows.with_columns(
                outcome=pl.when(pl.col("opened") >= date(2021, 7, 1)).then(pl.lit("good")).otherwise("outcome")
            )
        ),
        "data/prepared/test.parquet: all rows have the same label",
    ),
    "a positive value nobody has": (
        params(lambda p: p["label"].update(positive=["terrible"])),
        r"holds no value of `label.positive` \('terrible'\). It holds 'good' \(\d+ rows\), 'bad' \(",
    ),
    "one class to learn from": (
        table(
            lambda rows: rows.with_columns(
                outcome=pl.when(pl.col("opened") < date(2021, 7, 1)).then(pl.lit("good")).otherwise("outcome")
            )
        ),
        "data/prepared/at_split/labelled.parquet: all rows have the same label, so no model can be trained",
    ),
    "the test is longer than the history": (
        params(lambda p: p["split"].update(test=48)),
        "data/prepared/at_split/labelled.parquet: there are no rows, so no model can be trained",
    ),
    "too few rows": (
        table(lambda rows: rows.head(3)),
        "data/prepared/test.parquet: there are no rows, so no model can be tested",
    ),
    "everything is excluded": (
        params(lambda p: p["ingest"].update(exclude={"all": {"amount": {"above": 0}}})),
        "data/prepared/test.parquet: there are no rows, .* or `ingest.exclude` in params.yaml",
    ),
}


@pytest.mark.parametrize("case", SPLITS)
def test_prepare_refuses(small: Project, case: str) -> None:
    spoil, says = SPLITS[case]
    spoil(small)
    run_stage(small, "ingest")
    assert re.search(says, sentence(small, "prepare"))


def test_rows_in_any_order_of_dates_give_the_same_split(small: Project) -> None:
    table(lambda rows: rows.sample(fraction=1, shuffle=True, seed=1))(small)
    run_stage(small, "ingest")
    run_stage(small, "prepare")
    train, test = (
        pl.read_parquet(small.folder / f"data/prepared/{name}.parquet")["case"]
        for name in ("at_split/labelled", "test")
    )
    day = pl.col("opened")
    assert sorted(test) == list(small_table().filter(day.is_between(date(2021, 7, 1), date(2022, 1, 1)))["case"])
    assert sorted(train) == list(small_table().filter(day <= date(2021, 1, 1))["case"])


PARAMS: dict[str, tuple[str, str, str]] = {
    "unknown at the top": ("split:", "splitt:", "unknown key `splitt`.* Correct or remove it."),
    "unknown below": ("test:", "tset:", r"unknown key `split.tset` \(did you mean `test`\?\)."),
    "unknown at a column": ("type: number", "tipe: number", "unknown key `columns.amount.tipe`.*did you mean `type`"),
    "missing": ("window: 36", "", "the key `window` is missing. Add it."),
    "negative": ("window: 36", "window: -36", r"`window`: give a number of months, .* \(found -36\)."),
    "text for a number": ("window: 36", "window: '36'", r"`window`: give a number of months, .* \(found '36'\)."),
    "negative below": ("horizon: 6", "horizon: -1", r"`label.horizon`: .*\(found -1\)."),
    "text for a bound": ("leak_auc: 0.9", "leak_auc: high", r"`contract.leak_auc`: .*number \(found 'high'\)."),
    "a share above 1": (
        "max_missing: 0.2",
        "max_missing: 20",
        r"`contract.columns.visits.max_missing`: .*\(found 20\).",
    ),
    "a date without quotes": ("as_of: '2022-07-01'", "as_of: 2022-07-01", "`as_of`: write the date in quotes"),
    "no date": ("as_of: '2022-07-01'", "as_of: soon", "`as_of`: 'soon' is not a date such as"),
    "no such column": (
        "columns:\n    visits:",
        "columns:\n    visit:",
        r"contract.columns.visit: no such column \(did you mean `visits`\?\)",
    ),
    "no such source": ("source: file", "source: fiel", r"`ingest.source` should be one of .* \(found 'fiel'\)."),
    "not YAML": ("window: 36", "window: [36", r"not valid YAML \(.+\)."),
}


@pytest.mark.parametrize("case", PARAMS)
def test_params_are_refused_with(small: Project, case: str) -> None:
    right, wrong, says = PARAMS[case]
    path = small.folder / "params.yaml"
    content = path.read_text()
    assert right in content
    path.write_text(content.replace(right, wrong, 1))
    with pytest.raises(UserError) as refused:
        read(Params, path)
    said = str(refused.value).replace(str(path), "params.yaml")
    assert re.match(f"params.yaml: .*{says}", said)
    assert "\n" not in said


def test_champion_check_fails_with_one_line_and_changes_nothing(small: Project) -> None:
    small.edit_params(lambda params: params.update(splitt={}))
    said = refusal(small, "champion", "check")
    assert said == "error: params.yaml: unknown key `splitt` (did you mean `split`?). Correct or remove it.\n"


@pytest.mark.parametrize(
    ("stage", "change", "says"),
    [
        ("ingest", lambda p: p["columns"]["amount"].update(typo=1), "unknown key `columns.amount.typo`"),
        ("prepare", lambda p: p["split"].update(test=-1), r"`split.test`: .*\(found -1\)"),
        ("train", lambda p: p["train"]["hist_gradient_boosting"].update(max_iter=-5), "max_iter.*-5"),
        ("evaluate", lambda p: p["evaluate"].update(segments=["regoin"]), "`evaluate.segments`.*regoin"),
    ],
)
def test_a_stage_refuses_the_params_it_reads(
    small: Project, stage: str, change: Callable[[dict[str, Any]], Any], says: str
) -> None:
    small.edit_params(change)
    assert re.match(f"error: params.yaml: .*{says}", sentence(small, stage))


@pytest.mark.parametrize(
    ("stage", "out"), [("ingest", "data/raw.parquet"), ("prepare", "data/prepared"), ("evaluate", "metrics/plots")]
)
def test_a_full_disk_leaves_the_earlier_outs(small: Project, stage: str, out: str) -> None:
    said = sentence_of_process(small, stage, ON_A_FULL_DISK)
    assert re.match(f"error: {out}: .*File too large.*. Free some space", said)


@pytest.mark.parametrize(("stage", "out"), [("ingest", "data/raw.parquet"), ("prepare", "data/prepared")])
def test_no_permission_to_write_leaves_the_earlier_outs(small: Project, stage: str, out: str) -> None:
    (small.folder / out).parent.chmod(0o555)
    said = sentence_of_process(small, stage, WITHOUT_POWERS)
    assert said.startswith(f"error: {out}: Permission denied. ")
    assert "correct the permissions" in said


def test_no_permission_to_read_the_table_names_it(small: Project) -> None:
    (small.folder / TABLE).chmod(0)
    assert f"{TABLE}: Permission denied" in sentence_of_process(small, "ingest", WITHOUT_POWERS)


def test_a_stage_without_its_input_says_how_to_make_it(small: Project) -> None:
    (small.folder / "data/raw.parquet").unlink()
    assert sentence(small, "prepare") == "error: data/raw.parquet: no such file. Run `dvc repro` to make it.\n"


def test_a_truncated_input_of_a_stage_says_how_to_make_it_again(small: Project) -> None:
    path = small.folder / "data/raw.parquet"
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[: len(content) // 2])
    assert re.match("error: data/raw.parquet: not readable Parquet .*`dvc repro --force`", sentence(small, "prepare"))


@pytest.mark.parametrize(
    ("file", "spoil", "said"),
    [
        (TABLE, value("amount", "a lot"), "column 'amount' cannot be read as number"),
        ("params.yaml", params(lambda p: p["columns"]["amount"].update(typo=1)), "unknown key `columns.amount.typo`"),
    ],
    ids=["table", "params"],
)
def test_under_dvc_a_refused_input_that_is_put_back_restores_every_output(
    small: Project, file: str, spoil: Break, said: str
) -> None:
    before, content = snapshot(small), (small.folder / file).read_bytes()
    spoil(small)
    result = small.repro(check=False)
    assert result.returncode != 0
    assert said in result.stderr
    assert "Traceback" not in result.stdout + result.stderr
    (small.folder / file).write_bytes(content)
    assert small.ran(small.repro().stdout) == []
    assert snapshot(small) == before
