"""`champion status`, `deploy` and `rollback` take at most 1.5 s of wall time more than `python -c pass`.

    python benchmarks/delivery.py

They use a local store, a SQLite ledger, and two versions of the model that `dvc repro` made.
"""

import hashlib
import sys
import tempfile

from champion.delivery.register import register
from champion.environments import load_environment
from champion.registry import history
from champion.registry.registry import Registry
from champion.registry.versions import MODEL_FILE
from measure import BIN, REPOSITORY, median, run, use_own_staging

LIMIT_SECONDS = 1.5
ROUNDS = 7


def register_twice(registry: Registry) -> None:
    """The model, and a second version whose file is one byte longer."""
    first, _ = register(registry)
    content = registry.read_file(first, MODEL_FILE) + b"\n"
    sha256 = hashlib.sha256(content).hexdigest()
    registry.files.write(f"{sha256}/{MODEL_FILE}", content)
    registered = history.registration(registry.ledger.rows(), first.name).details
    details = dict(registered) | {"files": {**first.files, MODEL_FILE: sha256}}
    with registry.ledger.appending() as session:
        session.append("register", version="v2", model_sha256=sha256, details=details)


def seconds_more(*arguments: str, after: tuple[str, ...] = ()) -> float:
    """The median extra time of the command over a bare Python. `after` undoes the command and is not measured."""
    champion, bare = [str(BIN / "champion"), *arguments], [sys.executable, "-c", "pass"]
    pairs = []
    for _ in range(ROUNDS):
        ours, floor = run(champion, REPOSITORY), run(bare, REPOSITORY)
        pairs.append(ours.wall - floor.wall)
        if after:
            run([str(BIN / "champion"), *after], REPOSITORY)
    return median(pairs)


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        use_own_staging(folder)
        register_twice(Registry.open(load_environment("staging", REPOSITORY)))
        run([str(BIN / "champion"), "deploy", "v1"], REPOSITORY)
        more = {
            "status": seconds_more("status"),
            "deploy": seconds_more("deploy", "v2", after=("rollback",)),
        }
        run([str(BIN / "champion"), "deploy", "v2"], REPOSITORY)
        more["rollback"] = seconds_more("rollback", after=("deploy", "v2"))
    for name, seconds in more.items():
        print(f"champion {name}: {seconds:.2f} s more than python -c pass, {LIMIT_SECONDS} s allowed")
    return int(max(more.values()) > LIMIT_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
