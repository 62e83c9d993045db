"""Continuous training in seven steps, each of which can be killed and run again: nothing is deployed if one fails."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from secrets import token_hex

from champion.core.errors import ConflictError, UserError
from champion.core.layout import PARAMS
from champion.core.strict_yaml import read
from champion.delivery import webhook
from champion.delivery.challenge import challenge
from champion.delivery.deployment import deploy, promote, rollback, smoke_test
from champion.delivery.gate import failures
from champion.delivery.register import register
from champion.environments import Environment, load_environments
from champion.pipeline.ingest.params import IngestParams
from champion.pipeline.ingest.stage import newest_date
from champion.registry import history
from champion.registry.registry import Registry
from champion.repository import git
from champion.repository.process import dvc
from champion.repository.process import run as run_program
from champion.repository.revision import default_base
from champion.repository.worktree import commit_worktree, make_worktree, remove_worktree
from champion.retraining.as_of import set_as_of
from champion.retraining.publication import ORIGIN, add_tag, delete_branch, propose, publish, tag_of
from champion.retraining.run import FOLDER, Run
from champion.retraining.source import copy_source
from champion.table.window import Period, shift

LOCK = FOLDER.with_suffix(".lock")


@dataclass(frozen=True)
class Retraining:
    """A retraining for an environment: its steps run in a working tree of their own, from the default branch on.

    So a change in the user's working tree takes no part in it, and is not touched. `day` replaces the date of the
    newest data.
    """

    environment: Environment
    day: date | None = None

    @property
    def root(self) -> Path:
        """The root of the repository."""
        return self.environment.root

    def extract(self) -> Run:
        """Choose the date: the day after the newest row, but not after today. Then read the rows known at that date.

        If nothing was trained with a later date, the retraining goes on; else there is nothing to learn from.
        """
        if self._is_public:
            git.answer(self.root, "fetch", "--quiet", ORIGIN)
        base = default_base(self.root)
        commit = git.commit_of(self.root, base)
        if commit is None:
            raise UserError(f"the branch {base} has no commit, so there is nothing to train. Commit first.")
        self._clear()
        run = Run(self.environment.name, "", commit, f"work-{token_hex(4)}")
        work = self._work(run)
        make_worktree(self.root, work, commit)
        copy_source(self.root, work)
        judged = _last_judged(self._registry(work))
        day = self.day or self._newest(work, judged)
        if self.day is None and judged is not None and day <= judged:
            print(f"nothing to learn from: no row is newer than the last training, as of {judged}", flush=True)
            self._clear()
            before = Run.find(self.root, self.environment.name)
            if before is not None and before.result == "won":
                # It still has to be deployed.
                return before
            return run.write(self.root, as_of=str(day), result="nothing new")
        run = replace(run, as_of=str(day))
        git.answer(work, "checkout", "--quiet", "-B", run.branch)
        set_as_of(work, run.as_of)
        print(f"training as of {run.as_of}, on {base} ({commit[:9]})", flush=True)
        _reproduce(work, "ingest")
        return run.write(self.root)

    def prepare(self) -> Run:
        """Split and clean the rows."""
        return self._continue("prepare")

    def validate(self) -> Run:
        """Check the data contract."""
        return self._continue("validate")

    def train(self) -> Run:
        """Choose the recipe, fit the judged and the delivered model, rehearse, and export."""
        return self._continue("package", "rehearse", "export")

    def evaluate(self) -> Run:
        """Measure the judged model on its test, commit the result, and ask the gate."""
        run = self._continue()
        if run.result is not None:
            return run
        work = self._work(run)
        commit = commit_worktree(work, f"Retrain as of {run.as_of}", run.day)
        reasons = failures(work)
        if reasons:
            self._record_refusal(work, run, reasons)
            raise ConflictError("the gate is closed:\n  " + "\n  ".join(reasons))
        return run.write(self.root, commit=commit)

    def compare(self) -> Run:
        """Publish the result, register it, and let it challenge the champion. Only a winner keeps its branch."""
        run = self._run()
        if run.result is None:
            run = self._challenge(run)
        self._clear()
        if run.result == "lost" or run.commit == run.base:
            delete_branch(self.root, run.branch, public=self._is_public)
        return run

    def _record_refusal(self, work: Path, run: Run, reasons: Sequence[str]) -> None:
        """So that nobody trains on the same rows again, unless with `--as-of`."""
        with self._registry(work).ledger.appending() as session:
            session.append(history.RETRAIN, reason="; ".join(reasons), details={"as_of": run.as_of})

    def _challenge(self, run: Run) -> Run:
        if run.commit is None:
            raise ConflictError("the models are not evaluated yet. Run `champion retrain evaluate` first.")
        if self._is_public:
            publish(self._work(run), run.branch)
        work = self._work(run)
        version, _ = register(self._registry(work))
        verdict = challenge(self._registry(work))
        won = history.champion(self._registry(work).rows) == version.name
        if won:
            tag = tag_of(self._chain()[0].name, version.name)
            add_tag(self.root, tag, run.commit, public=self._is_public)
            print(f"{version.name} is the champion", flush=True)
        else:
            reasons = [verdict.stays] if verdict.stays else verdict.reasons
            print(f"{version.name} lost, and {verdict.champion} stays the champion: {'; '.join(reasons)}", flush=True)
        return run.write(self.root, version=version.name, result="won" if won else "lost")

    def deploy(self) -> Run:
        """Deploy a new champion through the environments that come before, each with a smoke test."""
        run = self._run()
        if run.result != "won" or run.version is None:
            return run
        for environment in self._chain():
            registry = Registry.open(environment)
            if environment.promoted_from is None:
                deploy(registry, run.version)
            else:
                promote(registry, run.version)
            self._test(environment)
            print(f"{environment.name} serves {run.version}", flush=True)
        if self._is_public and os.environ.get("GITHUB_TOKEN"):
            address = propose(Registry.open(self.environment).resolve(run.version), self.environment.name)
            print(f"pull request: {address}", flush=True)
        return run.write(self.root, result="deployed")

    def _test(self, environment: Environment) -> None:
        row, report = smoke_test(Registry.open(environment))
        if report.passed:
            return
        if environment.promoted_from is not None:
            rollback(Registry.open(environment), reason=f"smoke test failed: {row.reason}", automatic=True)
        raise UserError(f"the smoke test of {row.version} in {row.environment} failed: {'; '.join(report.failures)}.")

    def _continue(self, *stages: str) -> Run:
        """Run these stages, or all, unless the retraining has ended."""
        run = self._run()
        if run.result is None:
            _reproduce(self._work(run), *stages)
        return run

    def _run(self) -> Run:
        run = Run.read(self.root, self.environment.name)
        if run.result is None and not self._work(run).exists():
            raise ConflictError(f"{FOLDER / run.work} is gone. Begin again with `champion retrain extract`.")
        if run.result is not None:
            print(_ENDED[run.result].format(run=run), flush=True)
        return run

    def _work(self, run: Run) -> Path:
        return (self.root / FOLDER / run.work).resolve()

    def _clear(self) -> None:
        """Remove the working trees of this retraining and of those that were killed."""
        for folder in (self.root / FOLDER).glob("work-*"):
            remove_worktree(self.root, folder)

    def _newest(self, work: Path, judged: date | None) -> date:
        """The day after the newest row of the source, but not after today; without newer rows, the day before."""
        params, today = read(IngestParams, work / PARAMS), datetime.now(UTC).date()
        if params.as_of is None:
            raise ConflictError(
                f"{PARAMS}: the table has no column with the role date, so nobody knows which rows are new. Use "
                "`dvc repro`, `champion register` and `champion challenge`."
            )
        since = judged or params.as_of
        newest = newest_date(params, Period(since, today + timedelta(days=1)), work) if since <= today else None
        return since if newest is None else min(shift(newest, "1d", 1), today)

    @property
    def _is_public(self) -> bool:
        return self._chain()[0].publish

    def _registry(self, work: Path) -> Registry:
        """Where versions are registered and challenged, opened anew, for the models in the working tree."""
        return Registry.open(self._chain()[0]).at(work)

    def _chain(self) -> list[Environment]:
        """The environments through which a version comes to this one, this one last."""
        found, known = [self.environment], load_environments(self.root)
        while found[0].promoted_from is not None:
            found.insert(0, known[found[0].promoted_from])
        return found


def _reproduce(work: Path, *stages: str) -> None:
    if run_program([dvc(), "repro", *stages], work, quiet=False).returncode:
        raise UserError("`dvc repro` failed; its output above says why.")


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
_ENDED = {
    "nothing new": "nothing to learn from",
    "lost": "{run.version} lost its challenge, so nothing is deployed",
    "won": "{run.version} won its challenge",
    "deployed": "{run.version} is deployed to {run.environment}",
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
            except UserError as error:
                message = f"the retraining of {retraining.environment.name} failed in the step {name}: {error}"
                _notify(message)
                raise type(error)(f"{message}\nNothing was deployed.") from None
    if run.result is not None and steps[-1] == "deploy":
        _notify(f"retraining of {run.environment} as of {run.as_of}: {_ENDED[run.result].format(run=run)}")
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
        print(f"warning: {error}", file=sys.stderr)


def _last_judged(registry: Registry) -> date | None:
    """The latest date of a version that was challenged, or of a model that the gate refused; None without one.

    A version that is only registered is none: its retraining may have been killed.
    """
    versions = history.versions(registry.rows)
    judged = {str(row.version) for row in registry.rows if row.action == "challenge"}
    days = [versions[name].params.get("as_of") for name in judged]
    days += [row.details.get("as_of") for row in registry.rows if row.action == history.RETRAIN]
    return max((date.fromisoformat(str(day)) for day in days if day is not None), default=None)
