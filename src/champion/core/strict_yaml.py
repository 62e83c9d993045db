"""YAML files read strictly: a wrong type, a missing key or an unknown key gives one sentence that names the key.

For an unknown key, the sentence also names the nearest known key.
"""

import difflib
import types
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from champion.core.errors import UserError
from champion.core.yaml_text import read_yaml


class Section(BaseModel):
    """A part of a YAML file. It is immutable, converts no types (text is no number) and refuses unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Sections(Section):
    """The top-level sections of a YAML file that one reader uses; a reader declares its own in a subclass."""

    # Whether the reader declares all sections of the file, so that any other section is a mistake.
    whole: ClassVar[bool] = False


SectionT = TypeVar("SectionT", bound=Section)
SectionsT = TypeVar("SectionsT", bound=Sections)

# What a message shows of a value, and of what is wrong with it.
LONGEST_VALUE = 100
LONGEST_MESSAGE = 600


def read(model: type[SectionsT], path: Path) -> SectionsT:
    """Read the sections that `model` declares from a YAML file. A `whole` model refuses all other sections.

    Raises `UserError` naming the wrong key and the nearest known one.
    """
    document = read_yaml(path)
    if not isinstance(document, dict):
        raise UserError(f"{path}: it has no sections such as `{next(iter(model.model_fields))}:`. Add them.")
    wanted = document if model.whole else {k: v for k, v in document.items() if k in model.model_fields}
    try:
        return model.model_validate(wanted)
    except ValidationError as error:
        raise UserError(explain(path, model, wanted, error)) from None


def check_section(model: type[SectionT], content: Mapping[str, Any], prefix: str) -> SectionT:
    """The content as that section. Raises `UserError` naming the wrong key, after the prefix."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        mistake = error.errors(include_url=False)[0]
        key = "-".join(map(str, mistake["loc"])).replace("_", "-")
        raise UserError(f"{prefix}{key}: {_message(mistake)}.") from None


def in_order(bounds: tuple[float | None, float | None], name: str) -> None:
    """Raise a `ValueError` naming the key when the lower bound is above the upper one."""
    low, high = bounds
    if low is not None and high is not None and low > high:
        raise ValueError(f"`{name}`: the lower bound {low:g} is above the upper bound {high:g}")


def explain(path: Path, model: type[BaseModel], document: Mapping[str, Any], error: ValidationError) -> str:
    """One sentence about an unknown key, else about all missing keys, else about the first mistake.

    Unknown keys come first, because a misspelt key is both unknown and missing.
    """
    mistakes = error.errors(include_url=False)
    unknown = next((mistake for mistake in mistakes if mistake["type"] == "extra_forbidden"), None)
    if unknown is not None:
        hint = did_you_mean(str(unknown["loc"][-1]), _known_keys(model, unknown["loc"][:-1]))
        return f"{path}: unknown key `{_shortened(_key(unknown, document))}`{hint}. Correct or remove it."
    missing = [name for mistake in mistakes if (name := _missing_key(mistake, document))]
    if missing:
        *others, last = (f"`{name}`" for name in sorted(set(missing)))
        if others:
            return f"{path}: the keys {', '.join(others)} and {last} are missing. Add them."
        return f"{path}: the key {last} is missing. Add it."
    first = mistakes[0]
    key = _shortened(_key(first, document))
    if first["type"] == "union_tag_invalid":
        tags, tag = first["ctx"]["expected_tags"], first["ctx"]["tag"]
        return f"{path}: `{key}.{_discriminator(first)}` should be one of {tags} (found {_shortened(repr(tag))})."
    message = ", or ".join(
        dict.fromkeys(_message(other) for other in mistakes if _key(other, document) == _key(first, document))
    )
    message = _shortened(message, LONGEST_MESSAGE)
    if not key:
        return f"{path}: {message}."
    shown = isinstance(first["input"], str | int | float | None)
    found = f" (found {_shortened(repr(first['input']))})" if shown else ""
    return f"{path}: `{key}`: {message}{found}."


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint in brackets if a known name is close to `name`, else an empty string."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean `{close[0]}`?)" if close else ""


def _missing_key(mistake: ErrorDetails, document: Mapping[str, Any]) -> str | None:
    """The missing key, if the mistake is a missing key, else None."""
    match mistake["type"]:
        case "missing":
            return _key(mistake, document)
        case "union_tag_not_found":
            return f"{_key(mistake, document)}.{_discriminator(mistake)}"
    return None


def _discriminator(mistake: ErrorDetails) -> str:
    """The key that selects the kind of a section."""
    return str(mistake["ctx"]["discriminator"]).strip("'")


def _key(mistake: ErrorDetails, document: Mapping[str, Any]) -> str:
    """The mistake's dotted key in the document, without the names of union branches that pydantic inserts."""
    parts: list[str] = []
    node: Any = document
    location = mistake["loc"]
    for depth, part in enumerate(location):
        # The name of a union branch is a value of its section, not a key.
        named = mistake["type"] == "missing" and depth == len(location) - 1
        if isinstance(node, list):
            node = dict(enumerate(node))
        if isinstance(node, dict) and part not in node and not named:
            continue
        if not isinstance(node, dict):
            break
        parts.append(str(part))
        node = node.get(part, {})
    return ".".join(parts)


def _message(mistake: ErrorDetails) -> str:
    match mistake["type"]:
        case "tuple_type" | "list_type":
            given = mistake["input"]
            return f"give a list, such as [{given!r}]" if isinstance(given, str | int | float) else "give a list"
        case "dict_type" | "model_type" | "model_attributes_type":
            return "give a section with keys"
    message = mistake["msg"].removeprefix("Value error, ").partition(" or instance of ")[0]
    return message[0].lower() + message[1:]


def _shortened(text: str, most: int = LONGEST_VALUE) -> str:
    """The text, on one line and without its middle if it is very long."""
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most // 2]}...{line[-most // 2 :]}"


def _known_keys(model: type[BaseModel], location: Iterable[int | str]) -> list[str]:
    """Field names of the nested model at the location of a validation error."""
    candidates: list[Any] = [model]
    for part in location:
        inner = [_unwrap(c.model_fields[part].annotation) for c in candidates if part in getattr(c, "model_fields", {})]
        if inner:
            candidates = [leaf for leaves in inner for leaf in leaves]
    return [name for candidate in candidates for name in candidate.model_fields]


def _unwrap(annotation: Any) -> list[type[BaseModel]]:
    """Models inside an annotation such as `dict[str, Column]` or `Source`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) in (Annotated, Union, types.UnionType, dict, tuple):
        return [leaf for argument in get_args(annotation) for leaf in _unwrap(argument)]
    return []
