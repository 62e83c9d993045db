"""A demonstration on this machine: from the pipeline to a served model, with traffic, outcomes and a page."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from champion.core.errors import ConflictError, UnavailableError, UserError
from champion.core.stage import progress
from champion.delivery import keys, webhook
from champion.delivery.realised import next_rows
from champion.environments import load_environment
from champion.predictions.log import PredictionLog
from champion.registry.registry import Registry
from champion.repository.process import run
from champion.serving.schema import required_columns
from champion.table.columns import TARGET
from champion.table.window import Calendar, shift

if TYPE_CHECKING:
    import polars as pl
    import requests

# It belongs to the demonstration alone, which begins anew each time.
FOLDER = Path("var/demo")
LOCK = FOLDER.with_suffix(".lock")
STEPS = (
    "dvc repro",
    "champion register --env staging",
    "champion challenge --env staging",
    "champion deploy champion --env staging",
    "champion smoke --env staging",
    "champion promote --env production",
)
# The column of the traffic with the day of each row.
DAY = "__day__"
# Outcomes of one request.
SAID = 1000
# How long the last answers take to their log.
SHIPPED_SECONDS = 60.0
_ADDRESS = re.compile(r" at (http://\S+) with ")


def demonstrate(root: Path, port: int) -> None:
    """Make a model, deliver it to a staging and a production of this machine, serve it, and wait for Ctrl-C.

    Its traffic is the rows of the time after the model was made. Each answer gets the date of its row, as outcomes
    need the whole horizon. Without such rows there is no traffic. Raises `UserError` when a step fails.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    os.environ |= _variables(root)
    # It would tell other people of a promotion in production.
    os.environ.pop(webhook.VARIABLE, None)
    with suppress(KeyboardInterrupt), _alone(root):
        shutil.rmtree(root / FOLDER, ignore_errors=True)
        (root / FOLDER).mkdir(parents=True)
        for step in STEPS:
            _run(step, root)
        registry = Registry.open(load_environment("production", root))
        rows = _read_traffic(registry, root)
        _, key = keys.add(registry, "demo")
        with _serving(root, port) as (server, url):
            if rows is not None:
                _send(registry, url, key, *rows)
            print(f"\nThe page is {url}/ (name: demo, password: {key})\nCtrl-C ends everything.", flush=True)
            for line in server.stdout or ():
                print(line, end="", flush=True)


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Keep the folder of the demonstration from other demonstrations during the block."""
    from filelock import FileLock, Timeout

    path = root / LOCK
    path.parent.mkdir(exist_ok=True)
    lock = FileLock(path, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise ConflictError(f"another demonstration uses {FOLDER}. End it with Ctrl-C, or look at its page.") from None
    with lock:
        yield


def _variables(root: Path) -> dict[str, str]:
    """What staging and production of config/environments.yaml need, in the folder of the demonstration."""
    folder = root.resolve() / FOLDER
    return {
        "CHAMPION_DATABASE_URL": f"sqlite:///{folder}/ledger.db",
        "CHAMPION_STORE_URL": str(folder / "stores"),
        "CHAMPION_PREDICTIONS_URL": f"sqlite:///{folder}/predictions.db",
        "CHAMPION_USERS_KEY": "demo",
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
    }


def _run(step: str, root: Path) -> None:
    print(f"\n$ {step}", flush=True)
    if run(step.split(), root, quiet=False).returncode:
        raise UserError(f"`{step}` failed, so the demonstration ends here.")


def _read_traffic(registry: Registry, root: Path) -> "tuple[pl.DataFrame, Calendar] | None":
    """The rows to send with their dates and labels; None where there are none, which is said."""
    import polars as pl

    version = registry.resolve(registry.environment.name)
    try:
        data, calendar = next_rows(registry, version)
    except UserError as error:
        print(f"no traffic is sent: {error}", flush=True)
        return None
    _run(f"champion realised production --as-of {calendar.known(calendar.as_of)} --env production", root)
    # Training has left the excluded rows out already, so the columns that only say which those are may be empty.
    absent = required_columns(registry.load_model(version.name).manifest)
    names = [feature.name for feature in data.features]
    rows = data.rows.select(*names, TARGET, pl.col(str(data.schema.date)).alias(DAY)).with_columns(
        pl.lit(None).alias(name) for name in absent
    )
    return rows.sort(DAY), calendar


@contextmanager
def _serving(root: Path, port: int) -> "Iterator[tuple[subprocess.Popen[str], str]]":
    """The server of production and its address, during the block."""
    print(f"\n$ champion serve --env production --port {port}", flush=True)
    command: list[str | Path] = [
        Path(sys.executable).with_name("champion"),
        "serve",
        "--env",
        "production",
        "--port",
        str(port),
    ]
    # In a session of its own, Ctrl-C does not reach it twice.
    server = subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        greeting = server.stdout.readline() if server.stdout else ""
        print(greeting, end="", flush=True)
        address = _ADDRESS.search(greeting)
        if address is None:
            raise UserError("the server did not start, so the demonstration ends here.")
        yield server, address[1]
    finally:
        server.terminate()
        server.wait()


def _send(registry: Registry, url: str, key: str, rows: "pl.DataFrame", calendar: Calendar) -> None:
    """Send the rows day by day, then say of each what became of it."""
    import requests

    answered: dict[str, date] = {}
    events: list[dict[str, Any]] = []
    most, sent = registry.environment.serving.max_rows, 0
    with requests.Session() as client, progress(f"sending {rows.height:,} rows and their outcomes") as done:
        client.headers["authorization"] = f"Bearer {key}"
        for number, part in enumerate(_requests(rows, most)):
            day, labels = part[DAY][0], part[TARGET]
            body = {"rows": part.drop(DAY, TARGET).to_dicts(), "user_id": f"user-{number}"}
            its_id = _post(client, f"{url}/v1/predict", body)["request_id"]
            answered[its_id] = day
            last = str(shift(day, calendar.horizon, 1) - timedelta(days=1))
            events += [{"request_id": its_id, "row": row, "date": last} for row in (labels == 1).arg_true()]
            sent += part.height
            done(sent / rows.height)
        for start in range(0, len(events), SAID):
            _post(client, f"{url}/v1/outcomes", {"outcomes": events[start : start + SAID]})
        known = calendar.known(calendar.as_of) - timedelta(days=1)
        _post(client, f"{url}/v1/outcomes", {"complete_through": str(known)})
    _date_back(registry, answered, rows.height)


def _requests(rows: "pl.DataFrame", most: int) -> "Iterator[pl.DataFrame]":
    """The rows of each day, in order, at most so many at once."""
    for part in rows.partition_by(DAY, maintain_order=True):
        yield from part.iter_slices(most)


def _post(client: "requests.Session", url: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = client.post(url, json=body, timeout=60)
    if not answer.ok:
        raise UnavailableError(f"the server refuses the demonstration: {answer.json()['detail']}")
    found: dict[str, Any] = answer.json()
    return found


def _date_back(registry: Registry, answered: Mapping[str, date], rows: int) -> None:
    """Let the log say that each request was answered on the day of its rows."""
    import sqlalchemy as sa

    from champion.predictions.tables import make_tables

    # A server answers before it has made the tables.
    PredictionLog.open(registry.environment).close()
    table, url = make_tables().predictions, registry.environment.predictions_url
    dated = (
        sa.update(table)
        .where(table.c.request_id == sa.bindparam("its_id"))
        .values(time=sa.bindparam("its_day", type_=sa.Text) + sa.func.substr(table.c.time, 11))
    )
    count = sa.select(sa.func.count()).select_from(table)
    engine, until = sa.create_engine(str(url)), time.monotonic() + SHIPPED_SECONDS
    with engine.connect() as connection:
        while connection.scalars(count).one() < rows:
            if time.monotonic() > until:
                raise UnavailableError("the answers do not reach the prediction log. Look at the messages above.")
            time.sleep(0.2)
        connection.execute(dated, [{"its_id": one, "its_day": str(day)} for one, day in answered.items()])
        connection.commit()
    engine.dispose()
