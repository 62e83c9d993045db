"""The loader that MLflow stores with our models. This name never changes, even if the code behind it moves."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from champion.tracking.pyfunc import Loaded


def _load_pyfunc(path: str, model_config: dict[str, Any]) -> "Loaded":
    """MLflow calls this function by name, with the logged hash."""
    from champion.tracking.pyfunc import load_logged

    return load_logged(path, model_config)
