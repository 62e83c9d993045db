"""The rows of a file, scored by a registered version: any number of rows in little memory.

The file is read once, in batches. A few of them are scored at a time, and written in order. The journal has the scores
of the batches that are done, so a run after a kill reads and writes them again, but does not score them again.
"""

import hashlib
import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from champion.core.errors import ConflictError, UserError
from champion.core.files import replacing
from champion.core.stage import progress
from champion.model.onnx_scorer import OnnxScorer
from champion.registry import history
from champion.registry.registry import Registry
from champion.registry.versions import ONNX_FILE, Version
from champion.serving.journal import Journal
from champion.serving.local_copies import fetch, identify, is_remote, send
from champion.serving.table_files import check_suffix, open_table, write_table
from champion.serving.table_scoring import Scored, Scoring


@dataclass(frozen=True)
class Summary:
    """What a run did: rows, those of them that are out of scope, and invalid values that were emptied."""

    version: str
    rows: int
    out_of_scope: int
    emptied: int
    seconds: float


def score(registry: Registry, source: str, target: str, name: str | None, tell: Callable[[str], None]) -> Summary:
    """Write the table at `source`, with what the version says of each row, to `target`.

    Both are Parquet or CSV files, local or on S3. `name` is a version or alias, None for what the environment serves.
    The target appears only when it is complete. Raises `UserError` when a column is missing, or has the wrong type or a
    value that has it, and then writes nothing. `tell` gets a line about an earlier run that was not finished.
    """
    start = time.perf_counter()
    version = _chosen(registry, name)
    sha256 = version.require_onnx()
    scorer = OnnxScorer.parse(registry.read_file(version, ONNX_FILE), f"{ONNX_FILE} of {version.name}")
    for one in (source, target):
        check_suffix(one)
    about = {"input": identify(source), "model": sha256}
    own = registry.environment.root / "var/score" / hashlib.sha256(target.encode()).hexdigest()[:16]
    with ExitStack() as stack:
        base = stack.enter_context(_only_run(source, target, own))
        path = Path(source)
        if is_remote(source):
            path = own / f"input{Path(source).suffix}"
            stack.callback(path.unlink, missing_ok=True)
            fetch(source, path)
        table = stack.enter_context(open_table(path, source))
        scoring = Scoring(version.name, scorer, table)
        scoring.check(target)
        journal_path = base.with_name(f"{base.name}.journal")
        try:
            with (
                Journal.open(journal_path, about) as journal,
                replacing(base) as draft,
                progress(f"scoring {source}", line=False) as show,
            ):
                _tell_of(journal, journal_path.name, tell)
                counts = _write(scoring, journal, draft, show, as_csv=target.endswith(".csv"))
                if identify(source) != about["input"]:
                    raise ConflictError(f"{source}: the file was changed while it was read. Run this again.")
                _sync(draft)
        except UserError:
            # The table must be corrected, and then its scores are others.
            journal_path.unlink()
            raise
        if is_remote(target):
            send(base, target)
            base.unlink()
        journal_path.unlink()
    return Summary(version.name, *counts, time.perf_counter() - start)


def _chosen(registry: Registry, name: str | None) -> Version:
    environment = registry.environment.name
    if name is None and history.live(registry.rows, environment) is None:
        raise ConflictError(f"{environment} serves no version yet. Name one with --version.")
    return registry.resolve(name or environment)


@contextmanager
def _only_run(source: str, target: str, own: Path) -> Iterator[Path]:
    """The local path of the target; what is on S3 is written to the folder `own` first. Refuse a second run."""
    from filelock import FileLock, Timeout

    base = Path(target)
    if is_remote(target):
        base = own / f"output{base.suffix}"
    elif base.is_dir() or not base.parent.is_dir():
        raise UserError(f"{target}: {'it is a folder' if base.is_dir() else 'its folder does not exist'}. Correct OUT.")
    if not is_remote(source) and base.resolve() == Path(source).resolve():
        raise UserError(f"{target}: IN and OUT are the same file. Give another name for OUT.")
    if is_remote(target) or is_remote(source):
        own.mkdir(parents=True, exist_ok=True)
    lock = FileLock(base.with_name(f".{base.name}.lock"), timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise ConflictError(f"another run is writing {target}. Wait until it ends.") from None
    try:
        yield base
    finally:
        # Windows removes no open file.
        with suppress(OSError):
            Path(lock.lock_file).unlink()
        lock.release()
        with suppress(OSError):
            own.rmdir()


def _tell_of(journal: Journal, name: str, tell: Callable[[str], None]) -> None:
    if journal.discarded:
        tell(f"{name} was about another input or model, so every row is scored anew")
    elif journal.rows:
        tell(f"an earlier run was not finished: its {journal.rows:,} scores in {name} are used")


def _write(
    scoring: Scoring, journal: Journal, draft: Path, show: Callable[[float], None], *, as_csv: bool
) -> tuple[int, int, int]:
    """Write all rows to the draft. Returns how many they are, how many are out of scope, and the emptied values."""
    rows = outside = emptied = 0
    with write_table(draft, scoring.schema, as_csv=as_csv) as write:
        for scored, is_new in _in_order(scoring, journal):
            if is_new:
                journal.append(scored.scores)
            write(scored.batch)
            rows, outside, emptied = rows + len(scored.batch), outside + scored.out_of_scope, emptied + scored.emptied
            show(scoring.table.share_read())
    return rows, outside, emptied


def _in_order(scoring: Scoring, journal: Journal) -> Iterator[tuple[Scored, bool]]:
    """Every batch scored, in the order of the table, and whether its scores are new."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    waiting: deque[tuple[Future[Scored], bool]] = deque()
    row = 1
    # A session uses one thread, and lets others run.
    with ThreadPoolExecutor(cores) as pool:
        try:
            for batch in scoring.table.batches:
                known = journal.read()
                waiting.append((pool.submit(scoring.score, row, batch, known), known is None))
                row += len(batch)
                if len(waiting) > 2 * cores:
                    done, is_new = waiting.popleft()
                    yield done.result(), is_new
            while waiting:
                done, is_new = waiting.popleft()
                yield done.result(), is_new
        finally:
            pool.shutdown(cancel_futures=True)


def _sync(path: Path) -> None:
    with path.open("r+b") as stream:
        os.fsync(stream.fileno())
