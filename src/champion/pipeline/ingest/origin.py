"""An opened source: an installed wheel, a file or a database, with the declared columns to read from it."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

import polars as pl

from champion.core.errors import UserError, refuse_full_memory
from champion.core.own_code import errors_of_own_code, load_own
from champion.pipeline.ingest.csv_file import as_utf8, read_header, refuse_long_row, refuse_other_bytes
from champion.pipeline.ingest.loans import SOURCE_COLUMNS, loan_fields
from champion.pipeline.ingest.location import find_file
from champion.pipeline.ingest.params import LOANS, FileSource, Source, SqlSource, WheelSource
from champion.table.columns import Columns
from champion.table.fields import MISSING_VALUES, Field, read_text, read_typed
from champion.table.text_form import TextForm
from champion.table.window import Period


@dataclass(frozen=True)
class Origin:
    """An opened source: a name for messages, its rows, the typed fields to read from them, and the form of its texts.

    A CSV file is the `text` with its `separator`. Of it, unused columns are parsed too; otherwise an extra separator
    could shift values unnoticed.
    """

    name: str
    rows: pl.LazyFrame
    fields: list[Field]
    form: TextForm
    is_file: bool = True
    text: Path | None = None
    separator: str = ","


def open_source(source: Source, columns: Columns, period: Period | None, root: Path, folder: Path) -> Origin:
    """Open the source, a file under `root`; text in another encoding is copied to the folder.

    Raises `UserError` when it is missing, or its columns are not the declared ones.
    """
    match source:
        case WheelSource() | FileSource():
            path, name = find_file(source, root)
            return _open_file(path, name, source, columns, root, folder)
        case SqlSource():
            from champion.pipeline.ingest.database import read_sql

            rows = read_sql(source, columns, period)
            name = source.table or "ingest.query"
            wanted = Columns({column: spec for column, spec in columns.items() if spec.role != "ignore"})
            return Origin(name, rows.lazy(), _typed_fields(name, rows.schema, wanted, source), source, is_file=False)
        case _:
            assert_never(source)


def _open_file(
    path: Path, name: str, source: WheelSource | FileSource, columns: Columns, root: Path, folder: Path
) -> Origin:
    if path.stat().st_size == 0:
        raise UserError(f"{name}: the file is empty. Give a table with a header and rows.")
    if path.suffix == ".parquet":
        try:
            rows = pl.scan_parquet(path, glob=False)
            schema = rows.collect_schema()
        except (pl.exceptions.PolarsError, OSError) as error:
            raise UserError(f"{name}: not readable Parquet ({_first_line(error)}). Write the file again.") from None
        if source.adapter is None:
            return Origin(name, rows, _typed_fields(name, schema, columns, source), source)
        if source.adapter != LOANS:
            return _adapt(Origin(name, rows, [], source), source.adapter, columns, root)
        return Origin(name, rows.with_columns(_texts()), _loan_fields(name, list(schema), columns), source)
    text = as_utf8(path, name, source, folder)
    header = read_header(text, name, source.separator)
    rows = pl.scan_csv(
        text,
        separator=source.separator,
        infer_schema=False,
        null_values=MISSING_VALUES,
        new_columns=header,
        glob=False,
    )
    if source.adapter == LOANS:
        return Origin(name, rows, _loan_fields(name, header, columns), source, text=text, separator=source.separator)
    if source.adapter is not None:
        whole = Origin(name, rows, [], source, text=text, separator=source.separator)
        return _adapt(whole, source.adapter, columns, root)
    _refuse_other_columns(name, header, list(columns))
    # The usual words are missing values already.
    fields = [read_text(column, spec.type, source, missing=()) for column, spec in columns.items()]
    return Origin(name, rows, _without_ignored(fields, columns), source, text=text, separator=source.separator)


def _adapt(origin: Origin, adapter: str, columns: Columns, root: Path) -> Origin:
    """The table that a user's function makes of the file's rows, which are texts if it is a CSV file."""
    adapt = load_own(adapter, "ingest.adapter", root)
    try:
        read = origin.rows.collect()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise unreadable(origin, error) from None
    with errors_of_own_code(adapter, "ingest.adapter"):
        made = adapt(read)
    if not isinstance(made, pl.DataFrame):
        raise UserError(
            f"params.yaml: `ingest.adapter`: {adapter} gave {type(made).__name__}. Let it return a DataFrame of Polars."
        )
    fields = _typed_fields(adapter, made.schema, columns, origin.form)
    return Origin(adapter, made.lazy(), fields, origin.form, is_file=False)


def unreadable(origin: Origin, error: Exception) -> UserError:
    """What is wrong with a file that Polars does not read. Raises a more precise error where it can tell."""
    refuse_full_memory(error)
    if origin.text is not None:
        refuse_other_bytes(origin.text, origin.name)
        refuse_long_row(origin.text, origin.name, origin.separator)
    return UserError(
        f"{origin.name}: cannot be read as {'Parquet' if origin.text is None else 'CSV'} ({_first_line(error)}). "
        "Repair or re-export the file."
    )


def _texts() -> pl.Expr:
    """All columns as the text that they are in a CSV file."""
    return pl.all().cast(pl.String).replace(dict.fromkeys(MISSING_VALUES))


def _refuse_other_columns(name: str, found: list[str], expected: list[str]) -> None:
    if "" in found:
        raise UserError(f"{name}: column {found.index('') + 1} has no name. Give it one, or remove the column.")
    missing = [column for column in expected if column not in found]
    extra = [column for column in found if column not in expected]
    if missing:
        raise UserError(
            f"{name}: the column {_listed(missing)} is missing. Add it to the table, or correct "
            "`columns` in params.yaml."
        )
    if extra:
        raise UserError(
            f"{name}: the column {_listed(extra)} is not declared. Declare it under `columns` in params.yaml "
            "(with the role `ignore` to leave it out)."
        )
    for place, (has, wants) in enumerate(zip(found, expected, strict=True), start=1):
        if has != wants:
            raise UserError(
                f"{name}: column {place} is {has!r}, but params.yaml declares {wants!r}. "
                "Put `columns` in the table's order."
            )


def _loan_fields(name: str, found: list[str], columns: Columns) -> list[Field]:
    _refuse_other_columns(name, found, SOURCE_COLUMNS)
    fields = loan_fields()
    _refuse_other_columns("the loans adapter", [field.name for field in fields], list(columns))
    return _without_ignored(fields, columns)


def _typed_fields(name: str, schema: pl.Schema, columns: Columns, form: TextForm) -> list[Field]:
    _refuse_other_columns(name, schema.names(), list(columns))
    fields = []
    for column, spec in columns.items():
        if spec.role == "ignore":
            continue
        field = read_typed(column, spec.type, schema[column], form)
        if field is None:
            raise UserError(
                f"{name}: the column {column!r} holds {schema[column]}, but params.yaml declares {spec.type}. "
                "Correct its `type` in params.yaml, or convert the column."
            )
        fields.append(field)
    return fields


def _without_ignored(fields: list[Field], columns: Columns) -> list[Field]:
    return [field for field in fields if columns[field.name].role != "ignore"]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in names)


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0].rstrip(".") if str(error).strip() else type(error).__name__
