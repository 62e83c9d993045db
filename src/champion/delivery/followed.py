"""What a server has to serve, by its environment's store and ledger. Nothing is taken up before it is proved."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from champion.core.errors import UserError
from champion.core.files import replacing
from champion.delivery.proof import examine_served
from champion.delivery.smoke import SmokeReport
from champion.registry import history, rollouts
from champion.registry.chain import UNRECORDED, Row
from champion.registry.registry import Registry
from champion.registry.served import KEYS, POINTER, ROLLOUT, content_of, recorded
from champion.registry.signing import is_signed
from champion.registry.versions import EXAMPLES_FILE, ONNX_FILE, Version
from champion.serving.state import State, model_path

# A command that switches writes first the store, then the ledger. For so long they may differ.
SWITCH_SECONDS = 5.0
# When to look again at what could not be taken up, and at the ledger when nothing has changed.
RETRY_SECONDS = 2.0
CHECK_SECONDS = 30.0


@dataclass(frozen=True)
class Refused:
    """A version that cannot be served, and what its smoke test found."""

    version: Version
    report: SmokeReport


class Followed:
    """What one environment serves.

    `state` is the last one that was proved, and its models lie in `folder`. `troubles` are sentences about what the
    store says and the server does not do, and `refused` the versions among them.
    """

    def __init__(self, registry: Registry, folder: Path) -> None:
        self.state: State | None = None
        self.troubles: list[str] = []
        self.refused: list[Refused] = []
        self._registry = registry
        self._folder = folder
        self._files: Mapping[str, bytes | None] = {}
        self._look_again = 0.0
        # The rows when the ledger was whole, all versions that it had, and what was proved by it.
        self._rows: Sequence[Row] = ()
        self._versions: dict[str, Version] = {}
        self._proved: dict[str, Row | None] = {}
        self._tested: set[str] = set()
        self._differs_since: dict[str, float] = {}

    def look(self) -> State | None:
        """The state to take up, if it is a new one. Raises `UserError` when the store cannot be read."""
        store, now = self._registry.store, time.monotonic()
        files = {key: store.read(key) for key in (POINTER, ROLLOUT, KEYS)}
        if files == self._files and now < self._look_again:
            return None
        # Should something unexpected happen below, the next look sees the files as new again.
        self._files = {}
        self.troubles, self.refused = [], []
        self._prove(files, now)
        state = self._prepare()
        self._files, self._look_again = files, self._next_look(now)
        if state is None or (self.state is not None and replace(state, number=self.state.number) == self.state):
            return None
        self.state = state
        return state

    def _prove(self, files: Mapping[str, bytes | None], now: float) -> None:
        """Take over each file that the ledger has too.

        A broken or unreachable ledger proves nothing new. But a rollback to what was live here before, and the end of a
        rollout, are nothing new: in an emergency they must work.
        """
        name = self._registry.environment.name
        try:
            self._rows = self._registry.ledger.trusted_rows()
            self._versions |= history.versions(self._rows)
            whole = True
        except UserError as error:
            self.troubles.append(str(error))
            whole = False
        for key, should_be in recorded(self._rows, name).items():
            content = files[key]
            row = Row.from_json(content)
            if content == content_of(should_be):
                self._proved[key] = should_be
                self._differs_since.pop(key, None)
                continue
            nothing_new = row is not None and self._is_nothing_new(key, row, should_be, whole)
            if nothing_new:
                self._proved[key] = row
            if whole and (self.state is None or now - self._differs_since.setdefault(key, now) > SWITCH_SECONDS):
                so = "and is followed, as it is nothing new" if nothing_new else "so it is not followed"
                self.troubles.append(
                    f"{self._registry.store.url}/{key} is not what the ledger says, {so}: run `champion smoke --env "
                    f"{name}`, which repairs it."
                )

    def _is_nothing_new(self, key: str, row: Row, recorded: Row | None, whole: bool) -> bool:
        """Whether the row, which the ledger lacks, only goes back to what was live here, or ends a rollout."""
        if row.sequence == UNRECORDED:
            # What was written in an outage follows the row that was there. A copy of an old row does not.
            before = {one.hash for one in (recorded, self._proved.get(key)) if one is not None}
            if before.isdisjoint({row.previous_hash, row.hash}):
                return False
        elif whole:
            return False
        name, keys = self._registry.environment.name, self._registry.environment.ledger_public_keys
        if row.environment != name or (keys and not any(is_signed(row.hash, one, row.signature) for one in keys)):
            return False
        if key == ROLLOUT:
            return row.action == rollouts.ROLL_OUT and not rollouts.is_on(row)
        if key != POINTER or row.action != "rollback" or not row.is_emergency:
            return False
        known = self._versions.get(str(row.version))
        live_before = history.served(self._rows, name)
        return known is not None and known.name in live_before and row.details.get("models") == known.models

    def _next_look(self, now: float) -> float:
        """When to look again at files that did not change."""
        if any(now - since <= SWITCH_SECONDS for since in self._differs_since.values()):
            return now
        # A model that makes its test take long must not keep a core busy.
        took = time.monotonic() - now
        return now + (max(RETRY_SECONDS, 5 * took) if self.troubles else CHECK_SECONDS)

    def _prepare(self) -> State | None:
        """The state by what is proved; None without a version that works."""
        pointer, rollout, keys = (self._proved.get(key) for key in (POINTER, ROLLOUT, KEYS))
        if pointer is None:
            return None
        number = self.state.number + 1 if self.state is not None else 1
        accepted = keys.details["keys"] if keys is not None else {}
        live = self._versions[str(pointer.version)]
        if not self._provide(live):
            if self.state is None:
                return None
            # The old version goes on alone: its rollout has ended, and keys have nothing to do with it.
            old = {self.state.live: self.state.versions[self.state.live]}
            return replace(self.state, number=number, versions=old, flags=None, shadow=None, keys=accepted)
        details = rollout.details if rollout is not None and rollouts.is_active(rollout, pointer) else {}
        others = [self._versions[name] for name in details.get("versions", {})]
        if not all(self._provide(version) for version in others):
            details, others = {}, []
        return State(
            number=number,
            environment=self._registry.environment.name,
            live=live.name,
            versions={version.name: version.require_onnx() for version in (live, *others)},
            flags=details.get("flags") if details.get("percents") else None,
            shadow=details.get("shadow"),
            keys=accepted,
        )

    def _provide(self, version: Version) -> bool:
        """Copy the version's ONNX file to the folder after a test. Whether it works; else `refused` says why not."""
        try:
            expected = version.require_onnx()
        except UserError as error:
            self.troubles.append(str(error))
            return False
        if expected in self._tested and model_path(self._folder, expected).exists():
            return True
        # Only what serves is tested here. The environment's own smoke test looks at the archive too.
        part = replace(version, files={name: version.files[name] for name in (ONNX_FILE, EXAMPLES_FILE)})
        report = examine_served(self._registry, part)
        content = self._registry.store.read(version.key(ONNX_FILE)) or b""
        if report.wrong or sha256(content).hexdigest() != expected:
            self.troubles.append(f"{version.name} is broken, so it is not served: {'; '.join(report.wrong)}.")
            self.refused.append(Refused(version, report))
            return False
        with replacing(model_path(self._folder, expected)) as draft:
            draft.write_bytes(content)
        self._tested.add(expected)
        return True
