"""What a user says about a table; the rest is found."""

from collections.abc import Iterable
from dataclasses import dataclass

from champion.core.errors import UserError
from champion.core.strict_yaml import check_section, did_you_mean
from champion.table.columns import check_name
from champion.table.text_form import PLAIN, TextForm
from champion.table.window import Length, parse_length


@dataclass(frozen=True)
class Given:
    """The target and, where they are given, other roles, the positive and negative values, and the label's horizon."""

    target: str
    date: str | None = None
    id: str | None = None
    group: str | None = None
    ignore: tuple[str, ...] = ()
    positive: tuple[str, ...] = ()
    negative: tuple[str, ...] = ()
    horizon: Length | None = None
    form: TextForm = PLAIN
    encoding: str | None = None
    separator: str | None = None

    def check_names(self, table: str, columns: Iterable[str]) -> None:
        """Raise `UserError` naming a column that cannot have its name, one that is missing, or one with two roles."""
        known = list(columns)
        for name in known:
            try:
                check_name(name)
            except ValueError as error:
                raise UserError(f"{table}: {error}.") from None
        named = {"--target": self.target, "--date": self.date, "--id": self.id, "--group": self.group}
        options = [(option, name) for option, name in named.items() if name is not None]
        options += [("--ignore", name) for name in self.ignore]
        for option, name in options:
            if name not in known:
                raise UserError(
                    f"{table}: there is no column {name!r}{did_you_mean(name, known)}. Correct {option}; the columns "
                    f"are {', '.join(map(repr, known[:20]))}{' and more' if len(known) > 20 else ''}."
                )
        for place, (option, name) in enumerate(options):
            other = next((earlier for earlier, same in options[:place] if same == name), None)
            if other is not None:
                raise UserError(f"{table}: {other} and {option} both name the column {name!r}. Remove one.")


def parse_form(decimal: str | None, thousands: str | None, date_format: str | None) -> TextForm:
    """How a user says that texts are written. Raises `UserError` for marks that no number can have."""
    given = {"decimal": decimal, "thousands": thousands, "date_format": date_format}
    return check_section(TextForm, {name: value for name, value in given.items() if value is not None}, "--")


def parse_horizon(text: str | None) -> Length | None:
    """The length of time that a user wrote. Raises `UserError` when it is none."""
    if text is None:
        return None
    try:
        return parse_length(int(text) if text.isdecimal() else text)
    except ValueError as error:
        raise UserError(f"--horizon: {error} (found {text!r}).") from None
