"""The loan adapter: the SBA national loan file (Li, Mickel and Taylor, 2018) as a tidy, typed table.

It does not read personal columns (name, city, zip). Of the facts known only after approval, it reads only the
charge-off date, which gives the label. Invalid codes stay unchanged, and the contract counts them.
"""

import polars as pl

from champion.pipeline.ingest.fields import Field, read_text

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
        Field("bank", pl.col("Bank")),
        Field("bank_state", pl.col("BankState")),
        Field("same_state", pl.col("State") == pl.col("BankState")),
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
    ]


def _renamed(name: str, field: Field) -> Field:
    return Field(name, field.value, field.origin)


def _date(name: str) -> pl.Expr:
    parsed = pl.col(name).str.to_date("%d-%b-%y", strict=False)
    return pl.when(parsed.dt.year() > LAST_YEAR).then(parsed.dt.offset_by("-100y")).otherwise(parsed)


def _money(text: pl.Expr) -> pl.Expr:
    return text.str.strip_chars(" $").str.replace_all(",", "", literal=True).cast(pl.Float64, strict=False)
