"""Continuous training: the steps of a retraining, one after the other. Nothing is deployed if one fails."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from champion.core.errors import ConflictError, UserError, warn
from champion.core.masking import masked
from champion.delivery import webhook
from champion.retraining.run import FOLDER, Run
from champion.retraining.steps import Retraining

LOCK = FOLDER.with_suffix(".lock")
# In their order.
STEPS: Mapping[str, Callable[[Retraining], Run]] = {
    "extract": Retraining.extract,
    "prepare": Retraining.prepare,
    "validate": Retraining.validate,
    "train": Retraining.train,
    "evaluate": Retraining.evaluate,
    "compare": Retraining.compare,
    "deploy": Retraining.deploy,
}


def retrain(retraining: Retraining, steps: Sequence[str]) -> Run:
    """Take these steps of `STEPS`, and say the end of the last one, or a failure, to the webhook if there is one.

    Raises `ConflictError` when another retraining runs on this machine, and `UserError` when a step fails.
    """
    with _alone(retraining.root):
        for name in steps:
            print(f"\nstep {list(STEPS).index(name) + 1} of {len(STEPS)}: {name}", flush=True)
            try:
                run = STEPS[name](retraining)
            except Exception as error:
                # What another error says may hold a secret.
                reason = error if isinstance(error, UserError | OSError) else type(error).__name__
                message = f"the retraining of {retraining.environment.name} failed in the step {name}: {reason}"
                _notify(message)
                if not isinstance(error, UserError):
                    print(masked(message), file=sys.stderr, flush=True)
                    raise
                end = "`champion status` says what is served." if name == "deploy" else "Nothing was deployed."
                raise type(error)(f"{message}\n{end}") from None
    if run.result is not None and steps[-1] == "deploy":
        _notify(f"retraining of {run.environment} as of {run.as_of}: {run.describe()}")
    return run


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Keep other retrainings out during the block."""
    from filelock import FileLock, Timeout

    (root / LOCK).parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(root / LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise ConflictError("another retraining runs on this machine. Wait for its end.") from None
    with lock:
        yield


def _notify(message: str) -> None:
    if not os.environ.get(webhook.VARIABLE):
        return
    try:
        webhook.send(message)
    except UserError as error:
        warn(str(error))
