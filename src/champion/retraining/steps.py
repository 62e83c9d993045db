"""The seven steps of a retraining. Each can be killed and run again: DVC has what was computed."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from secrets import token_hex

from champion.core.errors import ConflictError, UserError
from champion.core.layout import PARAMS
from champion.core.strict_yaml import read
from champion.delivery.challenge import challenge
from champion.delivery.deployment import deploy, promote, rollback
from champion.delivery.gate import failures
from champion.delivery.proof import smoke_test
from champion.delivery.register import register
from champion.environments import Environment, load_environments
from champion.pipeline.ingest.params import IngestParams
from champion.pipeline.ingest.stage import newest_date
from champion.registry import history, standing
from champion.registry.chain import Row
from champion.registry.registry import Registry
from champion.repository import git
from champion.repository.process import dvc
from champion.repository.process import run as run_program
from champion.repository.revision import default_base
from champion.repository.worktree import commit_worktree, find_worktrees, make_worktree, remove_worktree
from champion.retraining.as_of import set_as_of
from champion.retraining.publication import (
    GITHUB,
    ORIGIN,
    add_tag,
    delete_branch,
    propose,
    publish,
    refuse_others,
    tag_of,
)
from champion.retraining.run import FOLDER, Run
from champion.retraining.source import copy_source
from champion.table.window import Period, shift


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
        if self.day is not None and self.day > _today():
            raise UserError(
                f"{self.day} is after today, and nobody knows the labels of that day yet. Give another day."
            )
        if self._is_public:
            git.answer(self.root, "fetch", "--quiet", ORIGIN)
        base = default_base(self.root)
        commit = git.commit_of(self.root, base)
        if commit is None:
            raise UserError(f"there is no branch {base} with a commit. A retraining begins with it, so make one.")
        self._clear()
        run = Run(self.environment.name, "", commit, f"{_working_trees(self.environment)}{token_hex(4)}")
        work = self._work(run)
        make_worktree(self.root, work, commit)
        copy_source(self.root, work)
        rows = self._registry(work).rows
        judged = _last_judged(rows)
        day = self.day or self._newest(work, judged)
        if self.day is None and judged is not None and day <= judged:
            print(f"nothing to learn from: no row is newer than the last training, as of {judged}", flush=True)
            self._clear()
            return self._undeployed(rows, run) or run.write(self.root, as_of=str(day), result="nothing new")
        run = replace(run, as_of=str(day))
        refuse_others(self.root, run.branch, commit)
        git.answer(work, "checkout", "--quiet", "-B", run.branch)
        set_as_of(work, run.as_of)
        print(f"training as of {run.as_of}, on {base} ({commit[:9]})", flush=True)
        _reproduce(work, "ingest")
        return run.write(self.root)

    def _undeployed(self, rows: Sequence[Row], run: Run) -> Run | None:
        """The retraining that made the champion, if it ended before the deployment; None if there is nothing to do."""
        holder = standing.champion(rows)
        if holder is None:
            return None
        before = Run.find(self.root, self.environment.name)
        if before is not None and before.result == "won" and before.version == holder:
            return before
        # Between the challenge and its note in the file, or on a machine that is gone.
        version = history.versions(rows)[holder]
        run = replace(run, as_of=str(version.params.get("as_of")), commit=version.git_commit, version=holder)
        first = self._chain()[0].name
        names = (f"heads/{run.branch}", f"remotes/{ORIGIN}/{run.branch}", f"tags/{tag_of(first, holder)}")
        made = [git.commit_of(self.root, f"refs/{name}") for name in names]
        if version.git_commit not in made or holder in history.served(rows, first):
            return None
        self._tag(run)
        return run.write(self.root, result="won")

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
        won = standing.champion(self._registry(work).rows) == version.name
        run = replace(run, version=version.name)
        if won:
            self._tag(run)
            print(f"{version.name} is the champion", flush=True)
        else:
            reasons = [verdict.stays] if verdict.stays else verdict.reasons
            print(f"{version.name} lost, and {verdict.champion} stays the champion: {'; '.join(reasons)}", flush=True)
        return run.write(self.root, result="won" if won else "lost")

    def _tag(self, run: Run) -> None:
        """Name the commit of the champion."""
        tag = tag_of(self._chain()[0].name, str(run.version))
        add_tag(self.root, tag, str(run.commit), public=self._is_public)

    def deploy(self) -> Run:
        """Deploy a new champion through the environments that come before, each with a smoke test."""
        run = self._run()
        if run.result != "won" or run.version is None:
            return run
        for environment in self._chain():
            registry = Registry.open(environment)
            _refuse_decided(registry, run.version)
            if environment.promoted_from is None:
                deploy(registry, run.version)
            else:
                promote(registry, run.version)
            self._test(environment, run.version)
            print(f"{environment.name} serves {run.version}", flush=True)
        if self._is_public and all(os.environ.get(name) for name in GITHUB):
            address = propose(Registry.open(self.environment).resolve(run.version), self.environment.name)
            print(f"pull request: {address}", flush=True)
        return run.write(self.root, result="deployed")

    def _test(self, environment: Environment, version: str) -> None:
        row, report = smoke_test(Registry.open(environment), version)
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
            print(run.describe(), flush=True)
        return run

    def _work(self, run: Run) -> Path:
        return (self.root / FOLDER / run.work).resolve()

    def _clear(self) -> None:
        """Remove the working trees of this retraining and of those that were killed."""
        known, mine = find_worktrees(self.root), _working_trees(self.environment)
        inside = (self.root / FOLDER).resolve()
        there = inside.iterdir() if inside.exists() else ()
        for folder in {*there, *known}:
            if folder.parent == inside and folder.name.startswith(mine):
                remove_worktree(self.root, folder)

    def _newest(self, work: Path, judged: date | None) -> date:
        """The day after the newest row of the source, but not after today; without newer rows, the day before."""
        params, today = read(IngestParams, work / PARAMS), _today()
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
        return Registry.open(self._chain()[0], work)

    def _chain(self) -> list[Environment]:
        """The environments through which a version comes to this one, this one last."""
        found, known = [self.environment], load_environments(self.root)
        while found[0].promoted_from is not None:
            found.insert(0, known[found[0].promoted_from])
        return found


def _refuse_decided(registry: Registry, version: str) -> None:
    """Raise `ConflictError` when somebody decided against the version since its challenge."""
    rows, name = registry.rows, registry.environment.name
    holder = standing.champion(rows)
    if holder != version:
        raise ConflictError(f"{version} is not the champion any more ({holder or 'nobody'} is), so it is not deployed.")
    live = history.live(rows, name)
    if live is None or live.action != "rollback" or live.from_version != version or live.details.get("automatic"):
        return
    raise ConflictError(
        f"{live.actor} rolled {version} back in {name} (ledger row {live.sequence}), so it is not deployed again. "
        f"Deploy it by hand, or run `champion retire {version} --reason WHY`."
    )


def _working_trees(environment: Environment) -> str:
    """How the name of each working tree of its retrainings begins."""
    return f"work-{environment.name}-"


def _today() -> date:
    return datetime.now(UTC).date()


def _reproduce(work: Path, *stages: str) -> None:
    if run_program([dvc(), "repro", *stages], work, quiet=False).returncode:
        raise UserError("`dvc repro` failed; its output above says why.")


def _last_judged(rows: Sequence[Row]) -> date | None:
    """The latest date of a version that was challenged, or of a model that the gate refused; None without one.

    A version that is only registered is none: its retraining may have been killed.
    """
    versions = history.versions(rows)
    judged = {str(row.version) for row in rows if row.action == "challenge"}
    days = [versions[name].params.get("as_of") for name in judged]
    days += [row.details.get("as_of") for row in rows if row.action == history.RETRAIN]
    return max((date.fromisoformat(str(day)) for day in days if day is not None), default=None)
