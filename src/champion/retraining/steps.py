"""The seven steps of a retraining. Each can be killed and run again: DVC has what was computed."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from champion.core.errors import ConflictError, UserError
from champion.delivery.challenge import challenge
from champion.delivery.gate import failures
from champion.delivery.register import register
from champion.environments import Environment
from champion.registry import history, standing
from champion.registry.chain import Row
from champion.registry.registry import Registry
from champion.repository import git
from champion.repository.revision import default_base
from champion.repository.worktree import commit_worktree, make_worktree
from champion.retraining.as_of import set_as_of
from champion.retraining.dates import after_newest, last_judged, today
from champion.retraining.promotion import deploy_through, way_to
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
from champion.retraining.working_trees import clear, new_name, reproduce


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
        if self.day is not None and self.day > today():
            raise UserError(
                f"{self.day} is after today, and nobody knows the labels of that day yet. Give another day."
            )
        if self._is_public:
            git.answer(self.root, "fetch", "--quiet", ORIGIN)
        base = default_base(self.root)
        commit = git.commit_of(self.root, base)
        if commit is None:
            raise UserError(f"there is no branch {base} with a commit. A retraining begins with it, so make one.")
        clear(self.environment)
        run = Run(self.environment.name, "", commit, new_name(self.environment))
        work = self._work(run)
        make_worktree(self.root, work, commit)
        copy_source(self.root, work)
        rows = self._registry(work).rows
        judged = last_judged(rows)
        day = self.day or after_newest(work, judged)
        if self.day is None and judged is not None and day <= judged:
            print(f"nothing to learn from: no row is newer than the last training, as of {judged}", flush=True)
            clear(self.environment)
            return self._undeployed(rows, run) or run.write(self.root, as_of=str(day), result="nothing new")
        run = replace(run, as_of=str(day))
        refuse_others(self.root, run.branch, commit)
        git.answer(work, "checkout", "--quiet", "-B", run.branch)
        set_as_of(work, run.as_of)
        print(f"training as of {run.as_of}, on {base} ({commit[:9]})", flush=True)
        reproduce(work, "ingest")
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
        first = self._first.name
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
        clear(self.environment)
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
        tag = tag_of(self._first.name, str(run.version))
        add_tag(self.root, tag, str(run.commit), public=self._is_public)

    def deploy(self) -> Run:
        """Deploy a new champion through the environments that come before, each with a smoke test."""
        run = self._run()
        if run.result != "won" or run.version is None:
            return run
        deploy_through(way_to(self.environment), run.version)
        if self._is_public and all(os.environ.get(name) for name in GITHUB):
            address = propose(Registry.open(self.environment).resolve(run.version), self.environment.name)
            print(f"pull request: {address}", flush=True)
        return run.write(self.root, result="deployed")

    def _continue(self, *stages: str) -> Run:
        """Run these stages, or all, unless the retraining has ended."""
        run = self._run()
        if run.result is None:
            reproduce(self._work(run), *stages)
        return run

    def _run(self) -> Run:
        run = Run.read(self.root, self.environment.name)
        if run.result is None and not self._work(run).exists():
            raise ConflictError(f"{FOLDER / run.work} is gone. Begin again with `champion retrain extract`.")
        if run.result is not None:
            print(run.describe(), flush=True)
        return run

    @property
    def _is_public(self) -> bool:
        return self._first.publish

    def _registry(self, work: Path) -> Registry:
        """Where versions are registered and challenged, opened anew, for the models in the working tree."""
        return Registry.open(self._first, work)

    @property
    def _first(self) -> Environment:
        """The environment at which a version begins."""
        return way_to(self.environment)[0]

    def _work(self, run: Run) -> Path:
        return (self.root / FOLDER / run.work).resolve()
