"""Every path of the pipeline, relative to the root of the repository."""

from pathlib import Path

PARAMS = Path("params.yaml")
PIPELINE = Path("dvc.yaml")
LOCK = Path("dvc.lock")
RUNTIME_LOCK = Path("requirements/runtime.txt")
# A user's own code.
OWN = Path("own")

SOURCE = Path("data/source")
RAW = Path("data/raw.parquet")
EXCLUDED = Path("data/excluded.json")
PREPARED = Path("data/prepared")
SCHEMA = PREPARED / "schema.json"
PARTS = PREPARED / "parts.json"
AT_SPLIT = PREPARED / "at_split"
AT_AS_OF = PREPARED / "at_as_of"
LABELLED, NEWEST = "labelled.parquet", "newest.parquet"
TEST = PREPARED / "test.parquet"
EARLIER = PREPARED / "earlier.parquet"
VALIDATED = Path("data/validated.json")
UNCONFIRMED = Path("data/unconfirmed.json")

TRAINED = Path("models/train")
REFITTED = Path("models/refit")
PIPELINE_FILE, FITTED, CUT_SCORES = "pipeline.skops", "fitted.json", "cut_scores.parquet"
RECIPE = TRAINED / "recipe.json"
CHOOSING_SCORES = TRAINED / "choosing_scores.parquet"
REHEARSED_SCORES = Path("models/rehearsed_scores.parquet")
REHEARSED = Path("models/rehearsed.skops")
MODEL = Path("models/model.skops")
MODEL_ONNX = Path("models/model.onnx")
CARD = Path("models/model_card.md")
REFERENCE = Path("models/reference.json")
REFERENCE_ROWS = Path("models/reference_rows.parquet")

METRICS = Path("metrics")
VALIDATION = METRICS / "validation.json"
TRAINING = METRICS / "training.json"
EVALUATION = METRICS / "evaluation.json"
REHEARSALS = METRICS / "rehearsals.json"
DECISION = METRICS / "decision.json"
SEGMENTS = METRICS / "segments.json"
STABILITY = METRICS / "stability.json"
EXPORT = METRICS / "export.json"
GATES = METRICS / "gates.json"
PLOTS = METRICS / "plots"
