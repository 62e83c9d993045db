"""Every path of the replay. Its stages run in the folder `replay/`, a DVC repository of its own."""

from pathlib import Path

FOLDER = Path("replay")
# The rest is relative to that folder.
ROOT = Path("..")
PARAMS = Path("params.yaml")
TABLE = Path("data/table.parquet")
SCHEMA = Path("data/schema.json")
CANDIDATES = Path("candidates")
CARDS = Path("cards")
PROMISES = Path("results/promises.json")
CHECKS = Path("checks")
QUARTERS = Path("results/quarters")
TRAININGS = Path("results/trainings")
