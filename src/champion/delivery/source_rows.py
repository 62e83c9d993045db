"""The rows of the pipeline's source, read again as a version was registered to read them."""

from datetime import date
from typing import TYPE_CHECKING

from pydantic import ValidationError

from champion.core.errors import ConflictError, UserError
from champion.pipeline.evaluate.params import Evaluate
from champion.pipeline.ingest.params import IngestParams
from champion.registry.registry import Registry
from champion.registry.versions import Version

if TYPE_CHECKING:
    import polars as pl

# The first format of versions that keeps the order of columns.
COMPLETE = 3


class RegisteredParams(IngestParams):
    """The registered sections that say how to read the rows, and how to resample them."""

    evaluate: Evaluate


def registered_params(version: Version) -> RegisteredParams:
    """The params of the version. Raises `ConflictError` when an older or newer program registered it with others."""
    if version.format < COMPLETE:
        raise ConflictError(
            f"{version.name} was registered by an older release of champion, which did not keep all that is needed to "
            "read its rows again. Choose a newer version."
        )
    known = {key: value for key, value in version.params.items() if key in RegisteredParams.model_fields}
    try:
        return RegisteredParams.model_validate(known)
    except ValidationError as error:
        mistake = error.errors(include_url=False)[0]
        key = ".".join(map(str, mistake["loc"])) or "params"
        raise ConflictError(
            f"{version.name} was registered with params that this program cannot read (`{key}`: {mistake['msg']}). "
            "Choose a newer version."
        ) from None


def read_source(
    registry: Registry, version: Version, params: RegisteredParams, as_of: date, since: date
) -> "pl.DataFrame":
    """The rows from `since` on as prepare makes them, with the target as it is known at `as_of`: null while it is not.

    `params` are those of the version. Raises `UserError`, naming the version, when the rows cannot be read again.
    """
    from champion.pipeline.ingest.stage import ingest
    from champion.pipeline.prepare.stage import label_and_clean

    then = params.model_copy(update={"as_of": as_of})
    try:
        raw, _ = ingest(then, registry.environment.root, since=since)
    except UserError as error:
        raise type(error)(
            f"{version.name}: with its registered params the rows cannot be read today: {error}"
        ) from None
    return label_and_clean(raw, then)
