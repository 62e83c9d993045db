"""Feature flags through OpenFeature, in flagd's format: a flag that is on for a user selects a version for this user.

A document says for how many users each flag is on. It never says how a version treats a row: the version itself does.
"""

import json
import tempfile
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

from champion.core.errors import NotFoundError, UserError
from champion.core.values import finite

# One evaluation takes as long as a whole request, so the choices of this many recent users are kept.
REMEMBERED_USERS = 100_000
# A percent has two decimals.
_WEIGHTS = 10_000
_VARIANTS = {"on": True, "off": False}


@dataclass(frozen=True, slots=True)
class Choice:
    """The version that a flag selects for a user, with the flag's variant and OpenFeature's reason."""

    flag: str
    variant: str
    version: str
    reason: str


def read_definitions(path: Path) -> dict[str, Any]:
    """The flagd document with the flags, each off for everybody; the first of the file takes precedence.

    Raises `UserError` when the file is missing, or has a flag that is not boolean with the variants on and off.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NotFoundError(f"{path}: no such file. `git restore` restores it.") from None
    except ValueError:
        raise UserError(f"{path}: not valid JSON. Correct it.") from None
    flags = _checked(document, str(path))
    for precedence, (name, flag) in enumerate(flags.items(), start=1):
        if flag.get("targeting"):
            raise UserError(f"{path}: the flag `{name}` has a rule. Remove it: `champion rollout` says who gets what.")
        # The ledger sorts the keys of a document, so the order must be in it.
        flag["metadata"] = {**flag.get("metadata", {}), "precedence": precedence}
    return {"flags": flags}


def with_share(document: Mapping[str, Any], flag: str, percent: float, version: str) -> dict[str, Any]:
    """The document with the flag on for this percent of users, for whom it then selects the version.

    Users of a smaller percent also belong to each larger one. Raises `UserError` for a percent that is not between 0
    and 100 or has more than two decimals, and `NotFoundError` for an unknown flag.
    """
    weight = _weight(percent)
    changed = deepcopy(dict(document))
    if flag not in changed["flags"]:
        raise NotFoundError(f"there is no flag {flag!r}. Choose one of {', '.join(changed['flags'])}.")
    user = {"cat": [{"var": "$flagd.flagKey"}, {"var": "targetingKey"}]}
    one = changed["flags"][flag]
    one["targeting"] = {"fractional": [user, ["on", weight], ["off", _WEIGHTS - weight]]}
    one["metadata"] = {**one.get("metadata", {}), "version": version}
    return changed


class Flags:
    """The flags of one document, evaluated by OpenFeature. A changed document needs a new object."""

    def __init__(self, domain: str, client: Any, versions: Mapping[str, str]) -> None:
        self._domain = domain
        self._client = client
        self._versions = versions
        self._remembered = lru_cache(REMEMBERED_USERS)(self._evaluate)

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> Self:
        """The flags of a flagd document. Raises `UserError` when the document is not valid."""
        flags = _checked(document, "the document of flags")
        for name, flag in flags.items():
            if flag.get("targeting") and not isinstance(flag.get("metadata", {}).get("version"), str):
                raise UserError(
                    f"the document of flags: the flag `{name}` has a rule and no `metadata.version`. Add the version."
                )
        ordered = sorted(flags, key=lambda name: finite(flags[name].get("metadata", {}).get("precedence")) or 0)
        versions = {name: flags[name]["metadata"]["version"] for name in ordered if flags[name].get("targeting")}
        domain = f"champion-{uuid4().hex}"
        return cls(domain, _client(document, domain), versions)

    @property
    def versions(self) -> set[str]:
        """Every version that a flag can select."""
        return set(self._versions.values())

    def choose(self, user: str | None) -> Choice | None:
        """The choice of the first flag that is on for the user; None without one, or without a user."""
        return self._remembered(user) if user and self._versions else None

    def close(self) -> None:
        """Release the flags. Do not choose afterwards."""
        from openfeature import api

        api.set_provider_and_wait(_no_provider(), self._domain)
        self._remembered.cache_clear()

    def _evaluate(self, user: str) -> Choice | None:
        for flag, version in self._versions.items():
            details = self._details(flag, user)
            if details.value is True:
                return Choice(flag, str(details.variant), version, str(details.reason))
        return None

    def _details(self, flag: str, user: str) -> Any:
        from openfeature.evaluation_context import EvaluationContext

        # flagd cannot hash half of a surrogate pair, which JSON can hold.
        key = user.encode(errors="backslashreplace").decode()
        return self._client.get_boolean_details(flag, False, EvaluationContext(targeting_key=key))


def _weight(percent: float) -> int:
    number = finite(percent)
    if number is None or not 0 <= number <= 100:
        raise UserError(f"{percent} is no percent of users. Give one from 0 to 100.")
    weight = round(number * _WEIGHTS / 100)
    if abs(number * _WEIGHTS / 100 - weight) > 1e-6:
        raise UserError(f"{percent} has more than two decimals. Give a percent such as 0.25.")
    return weight


def _checked(document: Any, name: str) -> dict[str, Any]:
    """A copy of the document's flags. Raises `UserError` unless each is boolean, has on and off, and is off."""
    flags = document.get("flags") if isinstance(document, Mapping) else None
    if not isinstance(flags, Mapping):
        raise UserError(f"{name}: it has no `flags` object. Add it.")
    for flag, one in flags.items():
        if not isinstance(one, Mapping) or one.get("variants") != _VARIANTS or not _is_boolean(one["variants"]):
            raise UserError(f'{name}: the flag `{flag}` needs the variants {{"on": true, "off": false}}. Correct it.')
        if one.get("state") != "ENABLED":
            raise UserError(f'{name}: the flag `{flag}` needs "state": "ENABLED". Correct it.')
        if one.get("defaultVariant") != "off":
            raise UserError(f'{name}: the flag `{flag}` needs "defaultVariant": "off". Correct it.')
        if not isinstance(one.get("metadata", {}), Mapping):
            raise UserError(f"{name}: `metadata` of the flag `{flag}` should be an object. Correct it.")
    return deepcopy(dict(flags))


def _is_boolean(variants: Mapping[str, Any]) -> bool:
    return all(isinstance(value, bool) for value in variants.values())


def _client(document: Mapping[str, Any], domain: str) -> Any:
    """A client of a provider that has the document. Raises `UserError` when flagd refuses it, or is not installed."""
    try:
        from openfeature import api
        from openfeature.contrib.provider.flagd import FlagdProvider
        from openfeature.contrib.provider.flagd.config import ResolverType
    except ImportError:
        raise UserError(
            "OpenFeature, which evaluates the flags, is not installed. Run `make setup GROUP=serving`, or "
            "`pip install --no-deps --require-hashes -r requirements/serving.txt`."
        ) from None
    text = json.dumps(document)
    _refuse_what_flagd_refuses(text)
    with tempfile.TemporaryDirectory(prefix="champion-") as folder:
        path = Path(folder) / "flags.json"
        path.write_text(text, encoding="utf-8")
        provider = FlagdProvider(resolver_type=ResolverType.FILE, offline_flag_source_path=str(path), deadline_ms=1)
        api.set_provider_and_wait(provider, domain)
        # The document never changes, so nothing needs to watch its file: the provider has it in memory by now.
        provider.shutdown()
        resolver: Any = provider.resolver
        resolver.connector.thread.join()
    return api.get_client(domain)


def _refuse_what_flagd_refuses(text: str) -> None:
    """Raise `UserError` when flagd cannot read the document, or a rule, which it reads when it evaluates the flag."""
    from openfeature.contrib.tools.flagd.core import FlagdCore
    from openfeature.evaluation_context import EvaluationContext
    from openfeature.exception import OpenFeatureError

    evaluator, name = FlagdCore(), ""
    try:
        evaluator.set_flags(text)
        for name in json.loads(text)["flags"]:
            evaluator.resolve_boolean_value(name, False, EvaluationContext(targeting_key="a user"))
    except Exception as error:
        # A wrong rule can fail in any way. The provider would log a traceback, and go on.
        told = error.error_message if isinstance(error, OpenFeatureError) else None
        where = f"the rule of `{name}`" if name else "it"
        reason = f" ({told})" if told else ""
        raise UserError(f"the document of flags: flagd refuses {where}{reason}. Correct it.") from None


@lru_cache
def _no_provider() -> Any:
    """What a released domain gets: OpenFeature cannot forget a domain."""
    from openfeature.provider.no_op_provider import NoOpProvider

    return NoOpProvider()
