"""A model in MLflow: our own model file, loaded by our code. Nothing is pickled, and no code from the file runs."""

from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from champion.model.model import Model
from champion.model.model_file import load
from champion.table.features import to_frame
from champion.tracking.client import SHA256_PARAM

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    from numpy.typing import NDArray

NAME = "model"
# This name is stored with every model, so it must never change.
LOADER = "champion.mlflow_loader"
EXAMPLE_ROWS = 5
_NEEDED = ("champion", "numpy", "pandas", "polars", "scikit-learn", "skops")


class Loaded:
    """The result of `mlflow.pyfunc.load_model`: it predicts probabilities for a frame of features."""

    def __init__(self, model: Model) -> None:
        self._model = model

    def predict(self, model_input: "pd.DataFrame", params: Any = None) -> "NDArray[Any]":  # noqa: ARG002 - MLflow's
        """Probability of the positive class, shape (rows,)."""
        return self._model.predict(model_input)


def load_logged(path: str, model_config: dict[str, Any]) -> Loaded:
    """The model at the path. Raises `UserError` unless the file has the logged hash."""
    return Loaded(load(Path(path), model_config[SHA256_PARAM]))


def log(model: Model, file: Path, sha256: str, rows: "pl.DataFrame") -> str:
    """Log the model to the active run, with its signature and example rows. Returns its URI."""
    import mlflow
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema, TensorSpec

    types = {"number": DataType.double, "category": DataType.string}
    inputs: list[ColSpec | TensorSpec] = [
        ColSpec(types[feature.kind], feature.name, required=False) for feature in model.features
    ]
    info = mlflow.pyfunc.log_model(
        name=NAME,
        loader_module=LOADER,
        data_path=str(file),
        model_config={SHA256_PARAM: sha256},
        signature=ModelSignature(Schema(inputs), Schema([ColSpec(DataType.double)])),
        input_example=to_frame(rows.head(EXAMPLE_ROWS), model.features),
        # Without this, MLflow guesses the requirements, which takes seconds.
        pip_requirements=[f"{name}=={version(name)}" for name in _NEEDED],
    )
    return str(info.model_uri)
