"""Every path of the pipeline, relative to the root of the repository."""

from pathlib import Path

PARAMS = Path("params.yaml")
PIPELINE = Path("dvc.yaml")
LOCK = Path("dvc.lock")
RUNTIME_LOCK = Path("requirements/runtime.txt")

SOURCE = Path("data/source")
RAW = Path("data/raw.parquet")
PREPARED = Path("data/prepared")
TRAIN = PREPARED / "train.parquet"
TEST = PREPARED / "test.parquet"
SCHEMA = PREPARED / "schema.json"
VALIDATED = Path("data/validated.json")

MODEL = Path("models/model.skops")
CARD = Path("models/model_card.md")

METRICS = Path("metrics")
VALIDATION = METRICS / "validation.json"
TRAINING = METRICS / "training.json"
EVALUATION = METRICS / "evaluation.json"
SEGMENTS = METRICS / "segments.json"
GATES = METRICS / "gates.json"
PLOTS = METRICS / "plots"
