"""The loan adapter: one raw row in, one tidy row out."""

from datetime import date
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from champion.pipeline.ingest.loans import SOURCE_COLUMNS, loan_fields

LOAN = {
    "LoanNr_ChkDgt": "1000014003", "Name": "ABC HOBBYCRAFT", "City": "EVANSVILLE", "State": "IN", "Zip": "47711",
    "Bank": "FIFTH THIRD BANK", "BankState": "OH", "NAICS": "451120", "ApprovalDate": "28-Feb-97", "ApprovalFY": "1997",
    "Term": "84", "NoEmp": "4", "NewExist": "2", "CreateJob": "0", "RetainedJob": "3", "FranchiseCode": "1",
    "UrbanRural": "0", "RevLineCr": "N", "LowDoc": "Y", "ChgOffDate": None, "DisbursementDate": "28-Feb-99",
    "DisbursementGross": "$60,000.00 ", "BalanceGross": "$0.00 ", "MIS_Status": "P I F", "ChgOffPrinGr": "$0.00 ",
    "GrAppv": "$60,000.00 ", "SBA_Appv": "$48,000.00 ",
}  # fmt: skip


def raw(changes: dict[str, str | None]) -> pl.DataFrame:
    return pl.DataFrame([LOAN | changes], schema=dict.fromkeys(SOURCE_COLUMNS, pl.String))


def tidy(**changes: str | None) -> dict[str, Any]:
    return raw(changes).select(field.value.alias(field.name) for field in loan_fields()).row(0, named=True)


def unreadable(**changes: str | None) -> list[str]:
    """Names of the fields that have a text but no value."""
    names = []
    for field in loan_fields():
        if field.origin is not None:
            value, origin = raw(changes).select(value=field.value, origin=field.origin).row(0)
            names += [field.name] if value is None and origin is not None else []
    return names


def test_a_loan_becomes_one_tidy_row() -> None:
    assert tidy() == {
        "loan_id": 1000014003, "approval_date": date(1997, 2, 28), "state": "IN", "lender": "FIFTH THIRD BANK",
        "sector": "45", "franchise": False, "employees": 4, "jobs_created": 0,
        "jobs_retained": 3, "new_business": "2", "urban_rural": "0", "revolving": "N", "low_doc": "Y",
        "amount_approved": 60000.0, "guaranteed_share": 0.8, "charge_off_date": None, "outcome_known": True,
    }  # fmt: skip


def test_nothing_personal_and_nothing_later_than_approval_is_read() -> None:
    later = {"Term": "1", "DisbursementDate": "01-Jan-01", "DisbursementGross": "$1.00", "BankState": "ZZ"}
    money = {"BalanceGross": "$9.00", "ChgOffPrinGr": "$9.00"}
    other = tidy(Name="X", City="Y", Zip="0", ApprovalFY="1976A", **later, **money)
    assert other == tidy()


@given(st.dates(date(1950, 1, 1), date(2049, 12, 31)))
def test_two_digit_years_are_read_in_the_century_of_the_file(day: date) -> None:
    months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    text = f"{day.day}-{months[day.month - 1]}-{day.year % 100:02}"
    assert tidy(ApprovalDate=text)["approval_date"] == day
    assert tidy(ChgOffDate=text)["charge_off_date"] == day


@given(st.integers(100, 10**10), st.sampled_from(["{}", "${}", "${} ", "{} "]))
def test_money_round_trips(cents: int, written: str) -> None:
    loan = tidy(GrAppv=written.format(f"{cents // 100:,}.{cents % 100:02}"), SBA_Appv="$0.50")
    assert loan["amount_approved"] == pytest.approx(cents / 100)
    assert loan["guaranteed_share"] == pytest.approx(50 / cents)


@pytest.mark.parametrize(("code", "sector"), [("451120", "45"), ("0", None), (None, None), ("11", "11")])
def test_the_sector_is_the_first_two_digits_and_0_is_unknown(code: str | None, sector: str | None) -> None:
    assert tidy(NAICS=code)["sector"] == sector


@pytest.mark.parametrize(("code", "franchise"), [("0", False), ("1", False), ("15100", True), (None, None)])
def test_franchise_codes_0_and_1_mean_none(code: str | None, franchise: bool | None) -> None:
    assert tidy(FranchiseCode=code)["franchise"] is franchise


@pytest.mark.parametrize(
    ("status", "charged_off", "known"),
    [
        ("P I F", None, True),
        ("P I F", "01-Jan-01", True),
        ("CHGOFF", "01-Jan-01", True),
        (None, "01-Jan-01", True),
        ("CHGOFF", None, False),
        (None, None, False),
    ],
)
def test_an_outcome_is_a_loan_paid_in_full_or_a_date(status: str | None, charged_off: str | None, known: bool) -> None:
    assert tidy(MIS_Status=status, ChgOffDate=charged_off)["outcome_known"] is known


def test_invalid_codes_stay_for_the_contract_to_count() -> None:
    loan = tidy(RevLineCr="`", LowDoc="C", NewExist="0", UrbanRural="0")
    assert (loan["revolving"], loan["low_doc"], loan["new_business"], loan["urban_rural"]) == ("`", "C", "0", "0")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"ApprovalDate": "1997-02-28"}, "approval_date"),
        ({"ChgOffDate": "31-Feb-97"}, "charge_off_date"),
        ({"GrAppv": "sixty"}, "amount_approved"),
        ({"SBA_Appv": "(60)"}, "guaranteed_share"),
        ({"NoEmp": "4.5"}, "employees"),
        ({"LoanNr_ChkDgt": "x"}, "loan_id"),
    ],
)
def test_what_cannot_be_read_is_seen(change: dict[str, str], field: str) -> None:
    assert unreadable() == []
    assert field in unreadable(**change)
