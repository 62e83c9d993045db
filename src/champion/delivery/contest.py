"""What a challenger must do against the champion: win with a new recipe, or not lose with a refresh."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from pydantic import ValidationError

from champion.core.errors import ConflictError
from champion.core.strict_yaml import Sections
from champion.core.values import flattened
from champion.judging.comparison import Kind
from champion.pipeline.ingest.params import IngestParams
from champion.pipeline.prepare.params import PrepareParams
from champion.pipeline.train.params import TrainParams
from champion.registry.versions import Version
from champion.table.columns import Label
from champion.table.params import TableParams

# What ingest, prepare, train and refit read, so what makes a recipe. A class reads what those before it leave.
MAKING: tuple[type[Sections], ...] = (TableParams, IngestParams, PrepareParams, TrainParams)
# What a refresh may change too. Another hash of the same file in a wheel is a newer release of the data.
REFRESHED = frozenset({"as_of", "ingest.sha256", "train.calibration"})
_ABSENT = object()


class LabelParams(Sections):
    """The section that says when the label is 1, and when it is known."""

    label: Label


@dataclass(frozen=True)
class Contest:
    """A new recipe must win. A refresh, in which no parameter of the recipe is `changed`, must not lose."""

    changed: tuple[str, ...]

    @classmethod
    def between(cls, champion: Version, challenger: Version) -> Self:
        """What the challenger must do against the champion. Raises `ConflictError` when they cannot be compared."""
        difference = _incomparable(champion, challenger)
        if difference is not None:
            raise ConflictError(
                f"{challenger.name} cannot be compared with the champion {champion.name}: {difference}. To replace "
                f"{champion.name} all the same, run `champion retire {champion.name} --reason WHY`; then the gates "
                "decide."
            )
        return cls(changed_parameters(champion.params, challenger.params))

    @property
    def kind(self) -> Kind:
        """What the challenger must do, in words."""
        return "must win" if self.changed else "must not lose"


def changed_parameters(champion: Mapping[str, Any], challenger: Mapping[str, Any]) -> tuple[str, ...]:
    """The dotted names of the recipe's parameters that differ between the params of two versions, sorted.

    A parameter that a version lacks has its default of today, unless its section cannot be read any more: then the
    sections are compared as they were registered.
    """
    found: set[str] = set()
    compared: set[str] = set()
    for sections in MAKING:
        names = sections.model_fields.keys() - compared
        before, after = (dict(flattened(side)) for side in _read(sections, names, champion, challenger))
        found |= {name for name in before | after if before.get(name, _ABSENT) != after.get(name, _ABSENT)}
        compared |= names
    return tuple(sorted(found - REFRESHED))


def _incomparable(champion: Version, challenger: Version) -> str | None:
    before, after = champion.params, challenger.params
    first, second = before.get("as_of"), after.get("as_of")
    if (first is None) != (second is None):
        return "its table has no dates" if second is None else f"its table has dates, but that of {champion.name} none"
    if first is not None and second < first:
        return f"its as_of {second} is earlier than {first}"
    old, new = (dict(flattened(side)) for side in _read(LabelParams, {"label"}, before, after))
    for name in sorted(old | new):
        values = [repr(side[name]) if name in side else "unset" for side in (new, old)]
        if values[0] != values[1]:
            return f"its `{name}` is {values[0]}, not {values[1]}"
    labels = [_label_column(params) for params in (before, after)]
    return None if labels[0] == labels[1] else f"its label is the column {labels[1]!r}, not {labels[0]!r}"


def _read(sections: type[Sections], names: set[str], *versions: Mapping[str, Any]) -> list[dict[str, Any]]:
    """These sections of each version with today's defaults; as they were registered if they cannot all be read."""
    try:
        read = [
            sections.model_validate({name: params[name] for name in sections.model_fields if name in params})
            for params in versions
        ]
    except ValidationError:
        return [{name: params[name] for name in names if name in params} for params in versions]
    return [one.model_dump(mode="json", include=names) for one in read]


def _label_column(params: Mapping[str, Any]) -> str | None:
    columns: Mapping[str, Mapping[str, Any]] = params.get("columns", {})
    return next((name for name, column in columns.items() if column.get("role") == "label"), None)
