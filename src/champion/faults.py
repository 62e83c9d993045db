"""What pydantic finds wrong with params.yaml, as one sentence that names the key and the nearest known one."""

import difflib
import types
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails


def sentence(path: Path, model: type[BaseModel], document: Mapping[str, Any], error: ValidationError) -> str:
    """The first fault of the document, unknown keys first: a misspelt key is also a missing one."""
    faults = error.errors(include_url=False)
    fault = next((fault for fault in faults if fault["type"] == "extra_forbidden"), faults[0])
    key = _key(fault, document)
    match fault["type"]:
        case "extra_forbidden":
            hint = did_you_mean(str(fault["loc"][-1]), _known_keys(model, fault["loc"][:-1]))
            return f"{path}: unknown key `{key}`{hint}. Correct or remove it."
        case "missing":
            return f"{path}: the key `{key}` is missing. Add it."
        case "union_tag_not_found":
            return f"{path}: the key `{key}.source` is missing. Add it."
        case "union_tag_invalid":
            context = fault["ctx"]
            return f"{path}: `{key}.source`: should be one of {context['expected_tags']} (found {context['tag']!r})."
    message = ", or ".join(dict.fromkeys(_message(other) for other in faults if _key(other, document) == key))
    if not key:
        return f"{path}: {message}."
    found = f" (found {fault['input']!r})" if isinstance(fault["input"], str | int | float | None) else ""
    return f"{path}: `{key}`: {message}{found}."


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint in brackets when a known name is close to this one, else nothing."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean `{close[0]}`?)" if close else ""


def _key(fault: ErrorDetails, document: Mapping[str, Any]) -> str:
    """The fault's place in the document, without the union branches that pydantic puts in between."""
    parts: list[str] = []
    node: Any = document
    for depth, part in enumerate(fault["loc"]):
        if depth == 1 and parts == ["ingest"] and part in ("wheel", "file", "sql"):
            continue
        if isinstance(node, list):
            node = dict(enumerate(node))
        if not isinstance(node, dict):
            break
        parts.append(str(part))
        node = node.get(part, {})
    return ".".join(parts)


def _message(fault: ErrorDetails) -> str:
    message = fault["msg"].removeprefix("Value error, ")
    return message[0].lower() + message[1:]


def _known_keys(model: type[BaseModel], location: Iterable[int | str]) -> list[str]:
    """Field names of the model nested at a validation error's location."""
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
