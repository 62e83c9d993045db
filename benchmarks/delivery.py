"""How long `champion status`, `deploy` and `rollback` take over a bare Python: `python benchmarks/delivery.py`.

Wall time, median of several runs in turn with `python -c pass`, on two versions of the model that `dvc repro` left, in
a local store with a SQLite ledger. Exits non-zero when one takes more than 1.5 s over the bare start.
"""

import hashlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from champion.delivery import registry
from champion.environments import load_environment

ROOT = Path(__file__).parent.parent
LIMIT_SECONDS = 1.5
RUNS = 7


def seconds(*command: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, *command], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def register_twice() -> None:
    """The model, and a second version whose file differs by a byte at its end, which no zip reader minds."""
    environment = load_environment("staging", ROOT)
    first, _ = registry.register(environment)
    content = registry.registered_file(environment, first, registry.MODEL_FILE) + b"\n"
    sha256 = hashlib.sha256(content).hexdigest()
    store = registry.open_registry(environment)
    store.write(f"{sha256}/{registry.MODEL_FILE}", content)
    for name in (registry.EXAMPLES_FILE, registry.TRAINING_ROWS_FILE):
        store.write(f"{sha256}/{name}", registry.registered_file(environment, first, name))
    details = dict(first.details) | {"files": {**first.details["files"], registry.MODEL_FILE: sha256}}
    with registry.open_ledger(environment).appending() as session:
        session.append("register", version="v2", model_sha256=sha256, details=details)


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {
            "CHAMPION_DATABASE_URL": f"sqlite:///{folder}/ledger.db",
            "CHAMPION_STORE_URL": f"{folder}/stores",
        }
        os.environ["ENVIRONMENT"] = "staging"
        register_twice()
        seconds("-m", "champion", "deploy", "v1")
        times: dict[str, list[float]] = {"python -c pass": [], "status": [], "deploy": [], "rollback": []}
        for _ in range(RUNS):
            times["python -c pass"].append(seconds("-c", "pass"))
            times["status"].append(seconds("-m", "champion", "status"))
            times["deploy"].append(seconds("-m", "champion", "deploy", "v2"))
            times["rollback"].append(seconds("-m", "champion", "rollback"))
    medians = {name: statistics.median(values) for name, values in times.items()}
    bare = medians.pop("python -c pass")
    print(f"python -c pass: {bare:.2f} s; over that, of {LIMIT_SECONDS} s allowed:")
    for name, median in medians.items():
        print(f"  champion {name:<9} {median - bare:.2f} s")
    return int(any(median - bare > LIMIT_SECONDS for median in medians.values()))


if __name__ == "__main__":
    sys.exit(main())
