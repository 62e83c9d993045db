"""Metrics, params and names within MLflow's limits."""

import hashlib
import json
import re
from collections.abc import Mapping
from itertools import chain
from typing import Any

from champion.core.values import finite, flattened

# MLflow's limits.
_NAME_LENGTH, _PARAM_LENGTH = 250, 6000
_FOREIGN = re.compile(r"[^\w.\- ]", flags=re.ASCII)


def mlflow_name(name: str) -> str:
    """The name as MLflow allows it. A changed or shortened name ends with a hash, so that no two names collide."""
    safe = _FOREIGN.sub("_", name)[: _NAME_LENGTH - 9].strip()
    return safe if safe == name else f"{safe}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def finite_metrics(evaluation: Mapping[str, Any], **others: Mapping[str, Any]) -> dict[str, float]:
    """Every finite number: the metrics of the test under their names, `others` as PREFIX.NAME."""
    named = chain(flattened(evaluation), *(flattened(content, prefix) for prefix, content in others.items()))
    return {mlflow_name(name): value for name, content in named if (value := finite(content)) is not None}


def params_of(params: Mapping[str, Any]) -> dict[str, str]:
    """Every param as text, by its dotted name. A text over MLflow's limit is cut and says so."""
    return {mlflow_name(name): cut(as_text(value), _PARAM_LENGTH) for name, value in flattened(params)}


def as_text(value: Any) -> str:
    """A string unchanged, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value)


def cut(text: str, length: int) -> str:
    """The text; if it is too long, it is cut to `length` and ends with its original length."""
    note = f"… ({len(text)} characters, cut)"
    return text if len(text) <= length else text[: length - len(note)] + note
