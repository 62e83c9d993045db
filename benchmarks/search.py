"""Our model and a tutorial's grid search: metrics on the same test rows, and CPU seconds of search and fit.

    python benchmarks/search.py [ROWS]

The tutorial's pipeline is StandardScaler + RandomForest under a grid of 27 points and 5 folds: 135 fits and a refit, as
in many a first MLOps course. It cannot read text, so both sides get the same numeric matrix: categories as ordinal
codes. Rows are ROWS (default 30,000) of those that the judged model learns from, drawn with a seed; the test rows are
those of the default case. Our side is the default params: no search, one fit (the rehearsals are four more). Both run
on one thread, so that CPU seconds count work and not waiting. Run it where `dvc repro` has run.
"""

import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder, StandardScaler
from threadpoolctl import threadpool_limits

from champion.core.layout import AT_SPLIT, LABELLED, TEST
from champion.core.strict_yaml import read
from champion.model.fitting import fit_pipeline
from champion.params import Params
from champion.table.dataset import Dataset
from measure import REPOSITORY

GRID = {
    "randomforestclassifier__n_estimators": [50, 100, 200],
    "randomforestclassifier__max_depth": [5, 10, None],
    "randomforestclassifier__min_samples_split": [2, 5, 10],
}


Predict = Callable[[Dataset], NDArray[np.float64]]


def tutorial(train: Dataset) -> Predict:
    """Search and refit. Returns a function that predicts."""
    categories = [feature.name for feature in train.features if feature.kind == "category"]
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-1)
    encoder.fit(train.frame[categories])

    def numbers(data: Dataset) -> pd.DataFrame:
        return data.frame.assign(
            **dict(zip(categories, encoder.transform(data.frame[categories]).T, strict=True))
        ).fillna(-1)

    search = GridSearchCV(
        make_pipeline(StandardScaler(), RandomForestClassifier(random_state=0)),
        GRID,
        cv=StratifiedKFold(5, shuffle=True, random_state=0),
        scoring="roc_auc",
        n_jobs=1,
    )
    search.fit(numbers(train), train.target)
    return lambda data: search.predict_proba(numbers(data))[:, 1]


def ours(train: Dataset) -> Predict:
    """The default params: no search, one fit."""
    params = read(Params, REPOSITORY / "params.yaml").train
    pipeline = fit_pipeline(params, train)
    return lambda data: pipeline.predict_proba(data.frame)[:, 1]


def main() -> None:
    threadpool_limits(1)
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 30_000
    os.chdir(REPOSITORY)
    whole, test = Dataset.read(AT_SPLIT / LABELLED).judged, Dataset.read(TEST)
    train = replace(whole, rows=whole.rows.sample(rows, seed=0))
    spent = {}
    print(f"{rows:,} training rows, {test.rows.height:,} test rows")
    for name, model in (("ours", ours), ("tutorial", tutorial)):
        before = time.process_time()
        predict = model(train)
        spent[name] = time.process_time() - before
        probability = predict(test)
        scores = {
            "ROC AUC": roc_auc_score(test.target, probability),
            "average precision": average_precision_score(test.target, probability),
            "Brier": brier_score_loss(test.target, probability),
        }
        shown = ", ".join(f"{metric} {value:.4f}" for metric, value in scores.items())
        print(f"{name}: {shown}; {spent[name]:,.1f} CPU s", flush=True)
    print(f"CPU of ours / tutorial: 1/{spent['tutorial'] / spent['ours']:.0f}")


if __name__ == "__main__":
    main()
