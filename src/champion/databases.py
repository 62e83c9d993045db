"""Databases from SQLAlchemy URLs. No error shows a URL, because it may hold a password."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from champion.core.errors import UserError

if TYPE_CHECKING:
    import sqlalchemy as sa


def make_engine(url: str, name: str, **options: Any) -> "sa.Engine":
    """An engine for the URL, with `create_engine`'s options. Raises `UserError` with `name`, the source of the URL."""
    import sqlalchemy as sa

    try:
        return sa.create_engine(url, **options)
    except (sa.exc.ArgumentError, ModuleNotFoundError, ValueError):
        raise UserError(
            f"{name}: not a usable SQLAlchemy URL (not shown: it may hold a password). Write it like "
            "postgresql+psycopg://user:password@host/database or sqlite:///file.db."
        ) from None


def public_address(url: str) -> str:
    """The URL of a usable database without user, password and options, so that it may be shown."""
    import sqlalchemy as sa

    parts = sa.make_url(url)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.drivername}://{parts.host or ''}{port}/{parts.database or ''}"


def sqlite_file(url: str) -> Path | None:
    """The file of a SQLite URL; None for any other database."""
    prefix = "sqlite:///"
    return Path(url.removeprefix(prefix)) if url.startswith(prefix) else None
