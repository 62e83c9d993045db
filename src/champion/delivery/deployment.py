"""The commands that change or test what an environment serves."""

import hashlib
from collections.abc import Iterable
from typing import Any

from champion.core.errors import ConflictError, UnavailableError, UserError
from champion.core.values import is_blank
from champion.delivery.listeners import follow
from champion.delivery.smoke import SmokeReport, examine
from champion.delivery.switch import State, Switch, go_back_in_outage, provide, read_state, refuse_overtaken, switch
from champion.registry import history, standing
from champion.registry.chain import Row, breaks
from champion.registry.ledger import Appending
from champion.registry.registry import Registry
from champion.registry.versions import Version


def ready(registry: Registry, version: str) -> tuple[Version, SmokeReport]:
    """A version and its smoke test in the registry. Raises `UserError` when a file is missing or was changed."""
    target = registry.resolve(version)
    files = {name: registry.read_file(target, name) for name in target.served}
    return target, examine(files, target, registry.environment.thresholds)


def deploy(registry: Registry, version: str) -> Switch:
    """Serve a registered version. Raises `ConflictError` if the environment takes only promoted versions."""
    environment = registry.environment
    if environment.promoted_from is not None:
        raise ConflictError(
            f"{environment.name} takes only versions that passed in {environment.promoted_from}: run "
            f"`champion deploy {version} --env {environment.promoted_from}`, then "
            f"`champion promote --env {environment.name}`."
        )
    state = read_state(registry)
    return switch(registry, state, "deploy", standing.resolve(state.rows, version, registry.sharing))


def promote(
    registry: Registry, version: str | None = None, *, emergency: bool = False, reason: str | None = None
) -> Switch:
    """Serve the champion, if the previous environment serves it and it passed its smoke test there.

    A version with an open finding is refused. `emergency` asks for nothing of this but a reason; the row then names the
    open findings. Before it goes live the version is tested in this environment's own store; in an emergency a model
    that is only slow passes, and the row says so.
    """
    environment = registry.environment
    source = environment.promoted_from
    if source is None:
        raise ConflictError(f"{environment.name} takes no promotions: use `champion deploy VERSION`.")
    if emergency and is_blank(reason or ""):
        raise UserError("an emergency needs a reason for the ledger: add --reason.")
    refuse_other_ledger(registry, source)
    state = read_state(registry)
    target = _promoted_version(registry, state, source, version)
    findings = [describe(row) for row in findings_of(registry, state.rows, target.name)]

    def check(rows: list[Row]) -> None:
        refuse_unproven(rows, target, source)
        refuse_findings(registry, rows, target)

    if not emergency:
        check(state.rows)
    now = history.live(state.rows, environment.name)
    details: dict[str, Any] = {"emergency": emergency} | ({"open_findings": findings} if findings else {})
    if now is None or now.version != target.name:
        details["smoke"] = prove_here(registry, target, emergency=emergency).details()
    # The test took a while, and another command may have ended the proof.
    still = None if emergency else check
    return switch(registry, state, "promote", target, reason=reason, details=details, check=still)


def prove_here(registry: Registry, target: Version, *, emergency: bool = False) -> SmokeReport:
    """Copy the version to the environment's store and test it there.

    Raises `ConflictError` when it fails, and records that. In an emergency it may be slow.
    """
    provide(registry, target)
    report = examine_served(registry, target)
    # A busy machine makes a good model slow, and an outage cannot wait.
    if report.wrong or (report.slow and not emergency):
        with registry.ledger.appending() as session:
            failed = _append_smoke(session, registry, target, report)
        follow(registry, failed)
        name = registry.environment.name
        raise ConflictError(
            f"the smoke test of {target.name} in {name} failed: {'; '.join(report.failures)}. What {name} serves has "
            "not changed."
        )
    return report


def rollback(
    registry: Registry,
    version: str | None = None,
    *,
    emergency: bool = False,
    reason: str | None = None,
    automatic: bool = False,
) -> Switch:
    """Serve the previous version again, or a version that the environment once served.

    An `automatic` rollback, without a decision of a person, leaves a finding on the version that it replaces. An
    `emergency` needs a reason, and continues when the ledger is broken or unreachable. If the last action there was
    already a step back, it is repeated only if a version is named, because an interrupted command may have made it.
    """
    if emergency and is_blank(reason or ""):
        raise UserError("an emergency needs a reason for the ledger: add --reason.")
    details = ({"automatic": True} if automatic else {}) | ({"emergency": True} if emergency else {})
    try:
        return _roll_back(registry, version, reason, details, despite_breaks=emergency)
    except UnavailableError as outage:
        if not emergency:
            raise
        return go_back_in_outage(registry, version, reason, outage)


def _roll_back(
    registry: Registry, version: str | None, reason: str | None, details: dict[str, Any], *, despite_breaks: bool
) -> Switch:
    state, name = read_state(registry, despite_breaks=despite_breaks), registry.environment.name
    done = history.step_back(state.rows, name) if version is None else None
    if done is not None:
        versions = history.stack(state.rows, name)
        further = f"; `--to {versions[-2]}` goes further back" if len(versions) > 1 else ""
        note = f"{done.action} from {done.from_version} by {done.actor}, ledger row {done.sequence}{further}"
        return Switch(done, changed=False, note=note)
    target = _version_before(registry, state, version)
    return switch(registry, state, "rollback", target, reason=reason, details=details)


def findings_of(registry: Registry, rows: Iterable[Row], version: str) -> list[Row]:
    """The open findings about the version in the environments that take promotions, oldest first."""
    promoted = [name for name, one in registry.sharing.items() if one.promoted_from is not None]
    return standing.open_findings(rows, version, promoted)


def clear(registry: Registry, version: str, reason: str) -> Row:
    """Record that the version's open findings are understood, so that it may be promoted again.

    Raises `ConflictError` when it has no open findings, and `UserError` for a blank reason.
    """
    if is_blank(reason):
        raise UserError("clearing a finding needs a reason for the ledger: add --reason.")
    target = registry.resolve(version)
    with registry.ledger.appending() as session:
        findings = findings_of(registry, session.rows, target.name)
        if not findings:
            raise ConflictError(f"{target.name} has no open finding, so there is nothing to clear.")
        row = session.append(
            "clear",
            version=target.name,
            model_sha256=target.model_sha256,
            reason=reason,
            details={"findings": [describe(finding) for finding in findings]},
        )
    follow(registry, row)
    return row


def describe(finding: Row) -> str:
    """An open finding in a few words: what happened, where, in which row, and why."""
    what = {"smoke": "failed its smoke test", "rollback": "was rolled back automatically"}.get(
        finding.action, "had its rollout stopped automatically"
    )
    return f"it {what} in {finding.environment} (ledger row {finding.sequence}: {finding.reason})"


def smoke_test(registry: Registry, version: str | None = None) -> tuple[Row, SmokeReport]:
    """Test the version that the environment serves, in its own store, and record the result.

    Raises `ConflictError` when it serves another one than `version`.
    """
    state, name = read_state(registry), registry.environment.name
    now = history.live(state.rows, name)
    if now is None:
        raise ConflictError(f"{name} serves nothing yet. Deploy a version first.")
    target = history.versions(state.rows)[str(now.version)]
    if version is not None and (wanted := standing.resolve(state.rows, version, registry.sharing)).name != target.name:
        raise ConflictError(
            f"{name} serves {target.name}, not {wanted.name}: {now.action} by {now.actor}, ledger row {now.sequence}. "
            "Nothing was tested."
        )
    registry.ledger.begin()
    report = examine_served(registry, target)
    with registry.ledger.appending() as session:
        refuse_overtaken(registry, state)
        row = _append_smoke(session, registry, target, report)
    follow(registry, row)
    return row, report


def _promoted_version(registry: Registry, state: State, source: str, version: str | None) -> Version:
    if version is not None:
        return standing.resolve(state.rows, version, registry.sharing)
    staged = history.live(state.rows, source)
    if staged is None:
        raise ConflictError(f"{source} serves nothing yet: run `champion deploy VERSION --env {source}` first.")
    return history.versions(state.rows)[str(staged.version)]


def refuse_other_ledger(registry: Registry, source: str) -> None:
    """Raise `ConflictError` when the environment before has a ledger of its own."""
    if source not in registry.sharing:
        raise ConflictError(
            f"{source} and {registry.environment.name} have different ledgers, but a promotion needs the ledger of "
            f"{source}. Give both the same database_url in config/environments.yaml."
        )


def refuse_findings(registry: Registry, rows: list[Row], target: Version) -> None:
    """Raise `ConflictError` when the version has an open finding."""
    findings = findings_of(registry, rows, target.name)
    if findings:
        raise ConflictError(
            f"{target.name} has an open finding: {describe(findings[-1])}. When you know the cause, run `champion "
            f"clear {target.name} --reason WHY`. Then {target.name} can be promoted."
        )


def refuse_unproven(rows: list[Row], target: Version, source: str) -> None:
    """Raise `ConflictError` unless it is the champion, and the environment before serves it and tested it."""
    staged, tested = history.live(rows, source), history.smoke(rows, source)
    if breaks(rows, None):
        raise ConflictError("the ledger was edited, so it proves nothing. `champion audit` says where.")
    if staged is None or staged.version != target.name:
        raise ConflictError(
            f"{target.name} is not live in {source}: run `champion deploy {target.name} --env {source}` first."
        )
    if tested is None or not tested.outcome:
        how = "was not smoke tested" if tested is None else "failed its smoke test"
        raise ConflictError(f"{target.name} {how} in {source}: `champion smoke --env {source}` must pass first.")
    standing.refuse_retired(rows, target.name)
    holder = standing.champion(rows)
    if holder != target.name:
        raise ConflictError(
            f"{target.name} is not the champion ({holder or 'nobody'} is): it must win "
            f"`champion challenge {target.name}` first."
        )


def _version_before(registry: Registry, state: State, version: str | None) -> Version:
    name = registry.environment.name
    if version is None:
        back = history.stack(state.rows, name)
        if len(back) < 2:
            first = f"{back[-1]} is its first" if back else "it serves nothing yet"
            raise ConflictError(f"{name} has no earlier version to go back to: {first}.")
        version = back[-2]
    target = standing.resolve(state.rows, version, registry.sharing)
    if target.name not in history.served(state.rows, name):
        raise ConflictError(f"{target.name} was never live in {name}. A rollback needs a version that was.")
    return target


def record_refusal(registry: Registry, version: Version, report: SmokeReport) -> None:
    """Record that a server refused the version that the environment has, unless a failed test is recorded already."""
    with registry.ledger.appending() as session:
        name = registry.environment.name
        last = next((row for row in reversed(session.rows) if row.environment == name and row.action == "smoke"), None)
        if last is not None and last.version == version.name and last.outcome is False:
            return
        row = _append_smoke(session, registry, version, report)
    follow(registry, row)


def examine_served(registry: Registry, version: Version) -> SmokeReport:
    """The report of a smoke test of the version's files in the environment's own store."""
    store, files = registry.store, {}
    for name, sha256 in version.served.items():
        content = store.read(version.key(name))
        if content is None:
            return SmokeReport((f"{store.url}/{version.key(name)} is missing",))
        # The test itself checks the hashes of the models.
        if name not in version.models and hashlib.sha256(content).hexdigest() != sha256:
            return SmokeReport((f"{store.url}/{version.key(name)} is not the registered file",))
        files[name] = content
    return examine(files, version, registry.environment.thresholds)


def _append_smoke(session: Appending, registry: Registry, version: Version, report: SmokeReport) -> Row:
    return session.append(
        "smoke",
        environment=registry.environment.name,
        version=version.name,
        model_sha256=version.model_sha256,
        reason="; ".join(report.failures) or None,
        details=report.details(),
    )
