"""A correction of probabilities, as a few numbers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from champion.core.values import DECIMALS, finite

# Probabilities of 0 and 1 have no finite log odds.
SMALLEST = 1e-6


@dataclass(frozen=True)
class Calibration:
    """`sigmoid`: slope and intercept of a line on the logit (Platt 1999). `isotonic`: points of a growing curve.

    The curve is straight between its points and level outside of them (Zadrozny and Elkan 2002).
    """

    kind: Literal["sigmoid", "isotonic"]
    x: tuple[float, ...]
    y: tuple[float, ...]

    @classmethod
    def fit(cls, kind: Literal["sigmoid", "isotonic"], target: NDArray[Any], probability: NDArray[np.float64]) -> Self:
        """The correction that fits these rows best, which the model must not have been fitted on."""
        from sklearn.isotonic import IsotonicRegression
        from sklearn.linear_model import LogisticRegression

        if kind == "isotonic":
            curve = IsotonicRegression(y_min=0, y_max=1).fit(probability, target)
            x, y = (np.round(axis, DECIMALS) for axis in (curve.X_thresholds_, curve.y_thresholds_))
            # Without steps, the last digits of a probability cannot change what it is corrected to.
            last = np.append(np.diff(x) > 0, True)
            return cls(kind, tuple(x[last].tolist()), tuple(y[last].tolist()))
        line = LogisticRegression(C=np.inf, solver="newton-cholesky").fit(log_odds(probability)[:, None], target)
        return cls(kind, _plain(line.coef_[0]), _plain(line.intercept_))

    @classmethod
    def parse(cls, described: Mapping[str, Any]) -> Self:
        """The correction that `describe` wrote. Raises a `ValueError` when it is none."""
        kind, (x, y) = described["kind"], (tuple(map(_number, described[axis])) for axis in ("x", "y"))
        if len(x) != len(y) or not x or (kind == "sigmoid" and len(x) != 1):
            raise ValueError("the calibration has no matching numbers")
        if kind not in ("sigmoid", "isotonic"):
            raise ValueError(f"there is no calibration {kind!r}")
        if kind == "isotonic" and not ([*x] == sorted(x) and [0, *y, 1] == sorted([0, *y, 1])):
            raise ValueError("the calibration is no growing curve of probabilities")
        return cls(kind, x, y)

    def describe(self) -> dict[str, Any]:
        """The correction as JSON."""
        return {"kind": self.kind, "x": list(self.x), "y": list(self.y)}

    def apply(self, probability: NDArray[np.float64]) -> NDArray[np.float64]:
        """The corrected probabilities, in the same shape."""
        if self.kind == "isotonic":
            return np.interp(probability, self.x, self.y)
        from scipy.special import expit

        corrected: NDArray[np.float64] = expit(self.x[0] * log_odds(probability) + self.y[0])
        return corrected


def log_odds(probability: NDArray[np.float64]) -> NDArray[np.float64]:
    """The logarithm of the odds; probabilities are clipped to at least 1e-6 from 0 and 1."""
    # A server, which corrects nothing itself, need not wait half a second for this.
    from scipy.special import logit

    odds: NDArray[np.float64] = logit(np.clip(probability, SMALLEST, 1 - SMALLEST))
    return odds


def _number(value: Any) -> float:
    number = finite(value)
    if number is None:
        raise ValueError("the calibration holds a value that is no number")
    return number


def _plain(numbers: NDArray[np.float64]) -> tuple[float, ...]:
    # On another processor, the last digits differ.
    return tuple(float(number) for number in np.round(numbers, DECIMALS))
