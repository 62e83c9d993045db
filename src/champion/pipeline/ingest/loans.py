"""The loan adapter: the SBA national loan file (Li, Mickel and Taylor, 2018) as a tidy, typed table.

It does not read personal columns (name, city, zip). Of the facts known only after approval, it reads only what gives
the label: the charge-off date, and whether the file has an outcome (paid in full, or a date). The lender is the one of
record in 2014, not the one that approved the loan, so it must not be a feature. Invalid codes stay unchanged, and the
contract counts them.
"""

import polars as pl

from champion.table.fields import Field, read_text

SOURCE_COLUMNS = [
    "LoanNr_ChkDgt", "Name", "City", "State", "Zip", "Bank", "BankState", "NAICS", "ApprovalDate", "ApprovalFY",
    "Term", "NoEmp", "NewExist", "CreateJob", "RetainedJob", "FranchiseCode", "UrbanRural", "RevLineCr", "LowDoc",
    "ChgOffDate", "DisbursementDate", "DisbursementGross", "BalanceGross", "MIS_Status", "ChgOffPrinGr", "GrAppv",
    "SBA_Appv",
]  # fmt: skip

# The file has dates from 1961 to 2014 with two-digit years, so a later date belongs to the last century.
LAST_YEAR = 2049


def loan_fields() -> list[Field]:
    """The tidy columns, made from the source's text columns."""
    sector = pl.col("NAICS").str.slice(0, 2)
    approved, guaranteed = pl.col("GrAppv"), pl.col("SBA_Appv")
    return [
        _renamed("loan_id", read_text("LoanNr_ChkDgt", "integer")),
        Field("approval_date", _date("ApprovalDate"), pl.col("ApprovalDate")),
        Field("state", pl.col("State")),
        Field("lender", pl.col("Bank")),
        Field("sector", pl.when(sector != "0").then(sector)),
        Field("franchise", ~pl.col("FranchiseCode").is_in(["0", "1"])),
        _renamed("employees", read_text("NoEmp", "integer")),
        _renamed("jobs_created", read_text("CreateJob", "integer")),
        _renamed("jobs_retained", read_text("RetainedJob", "integer")),
        Field("new_business", pl.col("NewExist")),
        Field("urban_rural", pl.col("UrbanRural")),
        Field("revolving", pl.col("RevLineCr")),
        Field("low_doc", pl.col("LowDoc")),
        Field("amount_approved", _money(approved), approved),
        Field("guaranteed_share", _money(guaranteed) / _money(approved), guaranteed),
        Field("charge_off_date", _date("ChgOffDate"), pl.col("ChgOffDate")),
        Field("outcome_known", (pl.col("MIS_Status") == "P I F").fill_null(False) | pl.col("ChgOffDate").is_not_null()),
    ]


def _renamed(name: str, field: Field) -> Field:
    return Field(name, field.value, field.origin)


def _date(name: str) -> pl.Expr:
    parsed = pl.col(name).str.to_date("%d-%b-%y", strict=False)
    return pl.when(parsed.dt.year() > LAST_YEAR).then(parsed.dt.offset_by("-100y")).otherwise(parsed)


def _money(text: pl.Expr) -> pl.Expr:
    return text.str.strip_chars(" $").str.replace_all(",", "", literal=True).cast(pl.Float64, strict=False)
