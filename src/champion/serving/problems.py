"""Refusals as problem details (RFC 9457): a JSON object with `title`, `status`, `detail`, and `errors` by field."""

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec

LOG = logging.getLogger(__name__)
MEDIA_TYPE = b"application/problem+json"
_JSON = b"application/json"


class FieldError(msgspec.Struct, omit_defaults=True):
    """What is wrong with one value of a request: the row's number, from 0, the field's name, and a sentence."""

    detail: str
    row: int | None = None
    field: str | None = None


class Problem(Exception):  # noqa: N818
    """A request that is refused. `errors` are at most as many as a person reads."""

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        errors: Sequence[FieldError] = (),
        headers: Mapping[bytes, bytes] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = errors
        self.headers = dict(headers or {})

    def body(self, request_id: str) -> bytes:
        """The answer's bytes."""
        described: dict[str, Any] = {
            "type": "about:blank",
            "title": self.status.phrase,
            "status": self.status.value,
            "detail": self.detail,
            "request_id": request_id,
        }
        if self.errors:
            described["errors"] = self.errors
        return msgspec.json.encode(described)


def as_problem(error: BaseException, request_id: str) -> Problem:
    """The problem that stands for any error of a request. The log has the error, when the server is to blame."""
    if isinstance(error, Problem):
        return error
    LOG.error("request %s failed", request_id, exc_info=error)
    return Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "The server failed. Its log says more.")


def check_type(headers: Mapping[bytes, bytes]) -> None:
    """Raise `Problem` when the request's body is not declared as JSON."""
    media_type = headers.get(b"content-type", _JSON)
    if media_type != _JSON and media_type.partition(b";")[0].strip().lower() != _JSON:
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Send the body as application/json.")


def check_size(size: int, limit: int) -> None:
    """Raise `Problem` when a body of this size is larger than the limit; both in bytes."""
    if size > limit:
        raise Problem(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The body has more than {limit // 1024} KB. Send several requests."
        )
