"""A program that interrupts delivery commands in forked processes in every way, and checks what they leave behind.

    python faults.py kill ROOT [STRIDE]        SIGKILL before and after one effect after the other
    python faults.py disconnect ROOT [STRIDE]  PostgreSQL ends the connection before and after each effect
    python faults.py register ROOT [STRIDE]    SIGKILL, in the first registration and the first deployment
    python faults.py rollback ROOT             SIGKILL, in a rollback that is then repeated
    python faults.py repair ROOT               SIGKILL, in a deployment that first repairs
    python faults.py beside ROOT               SIGKILL, in changes of the rollout and of the API keys
    python faults.py stop ROOT                 SIGKILL, in a stop without a ledger, and in its recording
    python faults.py accept ROOT               SIGKILL, in the acceptance of a break
    python faults.py full ROOT                 a full disk, at one file after the other
    python faults.py race ROOT                 two deployments that start from the same state
    python faults.py swarm ROOT                six processes at once
    python faults.py append ROOT               six processes that append to the ledger at once

With STRIDE they are stopped at every STRIDE-th line of code instead. It prints a summary as JSON; the first broken
promise ends it with a traceback.
"""

import json
import os
import resource
import shutil
import signal
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache, partial
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import Any

import psycopg  # imported once here, instead of in every fork
import sqlalchemy
from fsspec.implementations import local  # noqa: F401

from champion import delivery
from champion import registry as registry_room
from champion.core.errors import UserError
from champion.delivery import deployment, keys, proof, rollout, switch
from champion.delivery.audit import differences
from champion.delivery.register import register as register_model
from champion.delivery.smoke import SmokeReport
from champion.environments import load_environments
from champion.registry import history, registry
from champion.registry.chain import HEAD, breaks
from champion.registry.ledger import Appending
from champion.registry.registry import Registry
from champion.registry.served import POINTER, ROLLOUT, read_model, read_pointer, recorded
from champion.registry.stores import Store

# Parsed once: under the trace each parse would cost more than the deployment.
environments = registry.load_environments = cache(load_environments)
ROOMS = tuple(str(Path(room.__file__).parent) for room in (delivery, registry_room))
DONE, REFUSED, BROKEN = 0, 3, 4


def forked(work: Callable[[], object]) -> Callable[[], int]:
    """Start the work in another process; call the result for its exit status, negative when a signal ended it."""
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        status = BROKEN
        try:
            work()
            status = DONE
        except (UserError, OSError) as error:
            print(f"told: {error}", file=sys.stderr)
            status = REFUSED
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    return lambda: os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def at_line(number: int, act: Callable[[], None]) -> Callable[[], int]:
    """Act when this process reaches its number-th line of delivery's code; call the result for the lines reached.

    A line counts at most twice, so that a loop over a growing ledger does not change the numbers of other lines.
    """
    visits: Counter[tuple[str, int]] = Counter()
    reached = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal reached
        if not frame.f_code.co_filename.startswith(ROOMS):
            return None
        if event == "line":
            place = (frame.f_code.co_filename, frame.f_lineno)
            visits[place] += 1
            if visits[place] <= 2:
                reached += 1
                if reached == number:
                    sys.settrace(None)
                    act()
        return trace

    sys.settrace(trace)

    def lines() -> int:
        sys.settrace(None)
        return reached

    return lines


def at_effect(number: int, act: Callable[[], None]) -> Callable[[], int]:
    """Act when this process reaches the number-th beginning or end of an effect; call the result for their count.

    Effects are writes to a store or the ledger, and the end of a transaction.
    """
    reached = 0

    def boundary() -> None:
        nonlocal reached
        reached += 1
        if reached == number:
            act()

    def watch(owner: Any, name: str) -> Callable[[], None]:
        original = getattr(owner, name)

        def watched(*arguments: Any, **options: Any) -> Any:
            boundary()
            result = original(*arguments, **options)
            boundary()
            return result

        setattr(owner, name, watched)
        return lambda: setattr(owner, name, original)

    effects = (
        (Store, "write"),
        (Store, "remove"),
        (Appending, "append"),
        (sqlalchemy.engine.Transaction, "commit"),
    )
    restore = [watch(owner, name) for owner, name in effects]

    def boundaries() -> int:
        for undo in restore:
            undo()
        return reached

    return boundaries


def staging(root: Path) -> Registry:
    return Registry.open(environments(root)["staging"])


def live_version(root: Path) -> str:
    """Read the model as a reader does; raise unless it is complete."""
    environment = staging(root)
    row = read_pointer(environment.environment)
    assert row is not None
    assert read_model(environment.environment, row)
    return str(row.version)


def switch_to(root: Path, version: str) -> switch.Switch:
    return deployment.deploy(staging(root), version)


def assert_sound(root: Path, expected: str) -> None:
    assert live_version(root) == expected
    found = differences(staging(root))
    assert found == [], found


def kill(root: Path, stride: int = 0) -> dict[str, int]:
    return sweep(root, stride, lambda: os.kill(os.getpid(), signal.SIGKILL), -signal.SIGKILL)


def disconnect(root: Path, stride: int = 0) -> dict[str, int]:
    url = os.environ["CHAMPION_DATABASE_URL"].replace("+psycopg", "")

    def cut() -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )

    return sweep(root, stride, cut, REFUSED)


def sweep(root: Path, stride: int, act: Callable[[], None], stopped: int) -> dict[str, int]:
    """Stop a deployment at every place; then a reader, the next command and the audit must be right."""
    counts: Counter[str] = Counter()
    at, stride = (at_line, stride) if stride else (at_effect, 1)
    lines = at(0, act)
    switch_to(root, "v2")
    total = lines()
    for number in range(1, total + 1, stride):
        before = live_version(root)
        target = "v2" if before == "v1" else "v1"
        rows = len(staging(root).ledger.rows())

        def work(target: str = target, number: int = number) -> None:
            at(number, act)
            switch_to(root, target)

        status = forked(work)()
        assert status in (DONE, stopped), f"place {number}: exit status {status}"
        after = live_version(root)
        if status == DONE:
            assert after == target
        elif stopped == REFUSED:
            assert after == before, f"place {number}: refused, but {after} is live"
        # The next command alternates between the same one and the opposite one.
        following = target if (number // stride) % 2 else before
        switch_to(root, following)
        assert_sound(root, following)
        added = staging(root).rows[rows:]
        recorded = [(row.from_version, row.version) for row in added]
        truth = [before, *([target] if after == target else []), *([following] if following != after else [])]
        assert recorded == list(pairwise(truth)), f"place {number}: {recorded}, {truth}"
        # What a switch left that was stopped half-way is recorded as a repair, unless its own row was there already.
        assert {row.action for row in added} <= {"deploy", "repair"}, f"place {number}"
        counts["repaired"] += any(row.action == "repair" for row in added)
        counts["stopped" if status == stopped else "finished"] += 1
        counts["switched when stopped"] += status == stopped and after == target
    return dict(counts)


def register(root: Path, stride: int = 0) -> dict[str, int]:
    """Kill the first registration and the first deployment at every place; then they must succeed.

    All of it in forks, since the thread pool that Polars starts does not survive one.
    """
    import champion.model.model_file  # noqa: F401

    counts: Counter[str] = Counter()
    at, stride = (at_line, stride) if stride else (at_effect, 1)
    environment = staging(root)
    database = Path(os.environ["CHAMPION_DATABASE_URL"].removeprefix("sqlite:///"))

    def both() -> None:
        register_model(environment)
        deployment.deploy(environment, "v1")

    def afresh() -> None:
        database.unlink(missing_ok=True)
        shutil.rmtree(os.environ["CHAMPION_STORE_URL"])

    def count(pipe: int) -> None:
        lines = at(0, both)
        both()
        os.write(pipe, str(lines()).encode())

    afresh()
    told, telling = os.pipe()
    assert forked(lambda: count(telling))() == DONE
    total = int(os.read(told, 100))
    for number in range(1, total + 1, stride):
        afresh()

        def work(number: int = number) -> None:
            at(number, lambda: os.kill(os.getpid(), signal.SIGKILL))
            both()

        status = forked(work)()
        assert status in (DONE, -signal.SIGKILL), f"place {number}: exit status {status}"
        counts["stopped" if status != DONE else "finished"] += 1
        assert forked(both)() == DONE, f"place {number}: not repaired"
        assert_sound(root, "v1")
        first, second = (row.action for row in environment.ledger.rows())
        assert (first, second) in (("register", "deploy"), ("register", "repair"))
    return dict(counts)


def killed(prepare: Callable[[], object], work: Callable[[], object]) -> Iterator[int]:
    """Prepare, then kill the work at one effect after the other; the numbers of these effects."""
    prepare()
    lines = at_effect(0, lambda: None)
    work()
    for number in range(1, lines() + 1):
        prepare()

        def stopped(number: int = number) -> None:
            at_effect(number, lambda: os.kill(os.getpid(), signal.SIGKILL))
            work()

        assert forked(stopped)() == -signal.SIGKILL, f"place {number}"
        yield number


def rollback(root: Path) -> dict[str, int]:
    """Kill a rollback at every effect; repeated, it has gone back one step, and no further."""
    counts: Counter[str] = Counter()

    def afresh() -> None:
        for version in ("v1", "v2", "v3"):
            switch_to(root, version)

    for number in killed(afresh, lambda: deployment.rollback(staging(root))):
        went_back = live_version(root) == "v2"
        switch = deployment.rollback(staging(root))
        assert switch.changed != went_back, f"place {number}"
        assert bool(switch.note) == went_back, f"place {number}"
        assert_sound(root, "v2")
        counts["went back when stopped"] += went_back
        counts["stopped"] += 1
    return dict(counts)


def repair(root: Path) -> dict[str, int]:
    """Kill a deployment that first repairs, at every effect; the next command completes what was begun."""
    counts: Counter[str] = Counter()

    def restore_store() -> None:
        # The first time, v3's files are copied too, which would be more effects.
        for version in ("v3", "v1"):
            switch_to(root, version)
        before = read_pointer(staging(root).environment)
        switch_to(root, "v2")
        assert before is not None
        staging(root).store.write(POINTER, before.as_json())

    for _ in killed(restore_store, lambda: switch_to(root, "v3")):
        version = live_version(root)
        switch_to(root, version)
        assert_sound(root, version)
        counts[version] += 1
    return dict(counts)


def beside(root: Path) -> dict[str, int]:
    """Kill each change of a rollout or of a key at every effect; after the next command it is done, or never was."""
    # The test of a model has a process of its own, which a fork cannot start.
    proof.examine = lambda *_: SmokeReport()
    counts: Counter[str] = Counter()

    def seen() -> tuple[Any, Any]:
        rows = staging(root).rows
        on = history.active_rollout(rows, "staging")
        return (on and on.details["percents"]), list(history.api_keys(rows, "staging"))

    def other_share() -> None:
        percent = 20 if seen()[0] == {"new_model": 10} else 10
        rollout.roll_out(staging(root), "v2", percent)

    def on_or_off() -> None:
        if seen()[0]:
            rollout.stop(staging(root))
        else:
            rollout.roll_out(staging(root), "v2", 10)

    def key_or_none() -> None:
        if seen()[1]:
            keys.revoke(staging(root), "a")
        else:
            keys.add(staging(root), "a")

    for work in (other_share, on_or_off, key_or_none):
        rollout.roll_out(staging(root), "v2", 10)
        first = seen()
        work()
        second = seen()
        assert first != second
        before = first
        for number in killed(lambda: None, work):
            switch_to(root, "v1")
            after = seen()
            assert after in (first, second), f"place {number}: {after}"
            assert_sound(root, "v1")
            counts["done" if after != before else "never happened"] += 1
            before = after
    return dict(counts)


def stop(root: Path) -> dict[str, int]:
    """Kill a stop while the ledger is unreachable, then its recording: once it is stopped, it is never on again."""
    proof.examine = lambda *_: SmokeReport()
    counts: Counter[str] = Counter()

    def rolled_out() -> None:
        rollout.stop(staging(root))
        rollout.roll_out(staging(root), "v2", 10)

    def stop_without_ledger() -> None:
        url = os.environ["CHAMPION_DATABASE_URL"]
        os.environ["CHAMPION_DATABASE_URL"] = "postgresql+psycopg://x:y@127.0.0.1:1/none"
        try:
            rollout.stop(staging(root), unsound="v2")
        finally:
            os.environ["CHAMPION_DATABASE_URL"] = url

    def stopped() -> None:
        rolled_out()
        stop_without_ledger()

    for _ in killed(rolled_out, stop_without_ledger):
        content = staging(root).store.read(ROLLOUT)
        stops = content != recorded(staging(root).rows, "staging")[ROLLOUT].as_json()
        switch_to(root, "v1")
        assert (history.active_rollout(staging(root).rows, "staging") is None) == stops
        assert_sound(root, "v1")
        counts["stopped" if stops else "still on"] += 1
    for _ in killed(stopped, lambda: switch_to(root, "v1")):
        content = staging(root).store.read(ROLLOUT)
        assert json.loads(content)["details"]["percents"] == {}
        rows = len(staging(root).rows)
        switch_to(root, "v1")
        last = history.rollout(staging(root).rows, "staging")
        assert last.details["automatic"] is True
        assert last.details["percents"] == {}
        counts["recorded when killed" if len(staging(root).rows) == rows else "recorded by the next"] += 1
        assert_sound(root, "v1")
    return dict(counts)


def accept(root: Path) -> dict[str, int]:
    """Kill the acceptance of a break at every effect; if the ledger is still broken, it can be accepted again."""
    counts: Counter[str] = Counter()
    lose_head = partial(Store.remove, staging(root).files, HEAD)
    for _ in killed(lose_head, lambda: staging(root).ledger.accept_breaks("the head was lost")):
        broken = bool(staging(root).ledger.breaks())
        if broken:
            staging(root).ledger.accept_breaks("the head was lost, and then the power")
        assert_sound(root, "v1")
        counts["broken" if broken else "accepted"] += 1
    return dict(counts)


def full(root: Path) -> dict[str, int]:
    """Limit the size of files, from nothing to enough: without an error everything is done, with an error nothing."""
    counts: Counter[str] = Counter()
    environment = staging(root)
    registered = environment.files
    keys = registered.keys()
    largest = max(len(registered.read(key) or b"") for key in keys)
    database = Path(os.environ["CHAMPION_DATABASE_URL"].removeprefix("sqlite:///"))
    sizes = [0, 1, 500, 1000, 1500, 2500, 5000, largest - 1, largest]
    for copied in (False, True):
        for size in [*sizes, *(database.stat().st_size + extra for extra in (-4096, -1, 0, 1, 4096, 8192, 1 << 20))]:
            before = live_version(root)
            target = "v2" if before == "v1" else "v1"
            store = environment.store
            version = history.versions(environment.ledger.rows())[target]
            if not copied:
                for name in version.served:
                    store.remove(version.key(name))

            def work(size: int = size, target: str = target) -> None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
                switch_to(root, target)

            status = forked(work)()
            assert status in (DONE, REFUSED), f"{size} bytes: exit status {status}"
            assert live_version(root) == (target if status == DONE else before), f"{size} bytes"
            switch_to(root, before)
            assert_sound(root, before)
            counts["done" if status == DONE else "refused"] += 1
    return dict(counts)


def race(root: Path) -> dict[str, int]:
    """Both commands read the same state and then continue: exactly one wins."""
    for _ in range(5):
        before = live_version(root)
        others = [version for version in ("v1", "v2", "v3") if version != before]
        statuses = race_once(root, others)
        assert sorted(statuses) == [DONE, REFUSED], statuses
        assert_sound(root, others[statuses.index(DONE)])
    return {"won": 5}


def race_once(root: Path, versions: list[str]) -> list[int]:
    looked, looked_end = os.pipe()
    go, go_end = os.pipe()
    provide = switch.provide

    def wait_for_all(*arguments: Any) -> None:
        os.write(looked_end, b".")
        os.read(go, 1)
        provide(*arguments)

    switch.provide = wait_for_all
    running = [forked(lambda version=version: switch_to(root, version)) for version in versions]
    switch.provide = provide
    seen = b""
    while len(seen) < len(versions):
        seen += os.read(looked, 1)
    os.write(go_end, b"." * len(versions))
    return [wait() for wait in running]


def swarm(root: Path) -> dict[str, int]:
    """Deployments, rollbacks and a reader run at once: the ledger records every switch, and nothing else."""
    environment = staging(root)
    counts: Counter[str] = Counter()
    rows = len(environment.ledger.rows())

    def read() -> None:
        for _ in range(150):
            live_version(root)

    def one(version: str) -> Callable[[], object]:
        return lambda: switch_to(root, version)

    for _ in range(5):
        works = [one("v1"), one("v2"), one("v3"), one("v2"), lambda: deployment.rollback(environment), read]
        statuses = [wait() for wait in [forked(work) for work in works]]
        assert set(statuses) <= {DONE, REFUSED}, statuses
        assert statuses[-1] == DONE, "the reader found half a model"
        counts["done"] += statuses[:-1].count(DONE)
        counts["refused"] += statuses[:-1].count(REFUSED)
        assert_sound(root, live_version(root))
    switches = environment.ledger.rows()[rows:]
    assert all(later.from_version == row.version for row, later in pairwise(switches))
    assert len(switches) <= counts["done"]
    return dict(counts)


def append(root: Path) -> dict[str, int]:
    """Processes that append at once all succeed, one after the other."""
    ledger = staging(root).ledger
    before = len(ledger.rows())

    def some() -> None:
        for _ in range(5):
            with ledger.appending() as session:
                session.append("challenge", version="v1")

    statuses = [wait() for wait in [forked(some) for _ in range(6)]]
    assert statuses == [DONE] * 6, statuses
    assert breaks(ledger.rows(), None) == []
    return {"appended": len(ledger.rows()) - before}


if __name__ == "__main__":
    _, what, folder, *rest = sys.argv
    print(json.dumps(globals()[what](Path(folder), *map(int, rest))))
