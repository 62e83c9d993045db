"""What MLflow stores as the loader of our models: this name stays, wherever the code behind it moves."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from champion.tracking.pyfunc import Loaded


def _load_pyfunc(path: str, model_config: dict[str, Any]) -> "Loaded":
    """MLflow calls this by name, with the hash that was logged."""
    from champion.tracking.pyfunc import load_logged

    return load_logged(path, model_config)
