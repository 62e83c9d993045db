"""How much each column moved an answer away from that of a reference row: Shapley values in probability.

Let N be the columns in which a row differs from the reference row, and v(S) the probability of the reference row with
the row's values in the columns S. The effect of a column i is what its value changes, averaged over all orders in which
the columns of N can get the row's values, one after the other:

    effect(i) = sum over S in N without i:  |S|! (|N| - |S| - 1)! / |N|!  *  (v(S with i) - v(S))

So the effects add up to v(N) - v(no column), the row's probability less that of the reference row. This is the baseline
Shapley value of Sundararajan and Najmi, "The many Shapley values for model explanation" (ICML 2020), which SHAP gives
as its interventional value when the background is one row. Of up to `EXACT_COLUMNS` columns it is exact. Of more, it is
the average over `ORDERS` orders only, every second of which is the one before reversed (Mitchell, Cooper, Frank and
Holmes, "Sampling permutations for Shapley value estimation", JMLR 2022); the effects still add up.
"""

from collections.abc import Callable
from math import comb

import numpy as np
from numpy.typing import NDArray

from champion.model.onnx_scorer import OnnxScorer, Reading

Effects = NDArray[np.float64]
# The probability for each row of a mask, shape (rows, columns), that says which columns have the row's values.
Value = Callable[[NDArray[np.bool_]], NDArray[np.float64]]

EXACT_COLUMNS = 12
ORDERS = 128
# More rows at once are not faster, and keep Python's other threads waiting for longer.
ROWS_AT_ONCE = 256


def rows_to_score(columns: int) -> int:
    """How many rows are scored to find the effects of so many columns."""
    return 2**columns if columns <= EXACT_COLUMNS else ORDERS * columns + 1


def explain(scorer: OnnxScorer, row: Reading, reference: Reading) -> Effects:
    """The effect of each of the scorer's features on the row's probability, in their order.

    It is 0 where the scorer reads the same in both rows.
    """
    texts, numbers = np.array([reference.texts, row.texts], object), np.array([reference.numbers, row.numbers])
    both_missing = np.isnan(numbers).all(axis=0)
    # Categories come first, so that they change least often: similar rows after each other are scored faster.
    differs = np.concatenate([texts[0] != texts[1], (numbers[0] != numbers[1]) & ~both_missing])
    categories = texts.shape[1]

    def value(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
        given = np.zeros((len(mask), len(differs)), bool)
        given[:, differs] = mask
        return scorer.probabilities(
            np.where(given[:, categories:], numbers[1], numbers[0]),
            np.where(given[:, :categories], texts[1], texts[0]),
        )

    effects = np.zeros(len(differs))
    effects[differs] = shapley_values(value, int(differs.sum()))
    places = {"category": iter(range(categories)), "number": iter(range(categories, len(differs)))}
    return effects[[next(places[feature.kind]) for feature in scorer.features]]


def shapley_values(value: Value, columns: int) -> Effects:
    """The effect of each column: exact for up to `EXACT_COLUMNS`, else from `ORDERS` orders, the same every time."""
    return _exact(value, columns) if columns <= EXACT_COLUMNS else _sampled(value, columns)


def _exact(value: Value, columns: int) -> Effects:
    bits = np.arange(columns - 1, -1, -1)
    mask = (np.arange(2**columns)[:, None] >> bits & 1).astype(bool)
    values, sizes = _in_parts(value, mask), mask.sum(axis=1)
    # By the size of the set without the column.
    weights = np.array([1 / (columns * comb(columns - 1, size)) for size in range(columns)])
    effects = np.empty(columns)
    for column in range(columns):
        without = np.flatnonzero(~mask[:, column])
        gained = values[without + 2 ** bits[column]] - values[without]
        effects[column] = weights[sizes[without]] @ gained
    return effects


def _sampled(value: Value, columns: int) -> Effects:
    # NumPy promises that this old generator gives the same numbers for ever.
    random = np.random.RandomState(0)
    effects, nothing = np.zeros(columns), value(np.zeros((1, columns), bool))
    for _ in range(ORDERS // 2):
        order = random.permutation(columns)
        for turn in (order, order[::-1]):
            mask = np.empty((columns, columns), bool)
            # Each row gives one more column the row's values.
            mask[:, turn] = np.tri(columns, dtype=bool)
            effects[turn] += np.diff(_in_parts(value, mask), prepend=nothing)
    return effects / ORDERS


def _in_parts(value: Value, mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    starts = range(0, len(mask), ROWS_AT_ONCE)
    return np.concatenate([value(mask[start : start + ROWS_AT_ONCE]) for start in starts])
