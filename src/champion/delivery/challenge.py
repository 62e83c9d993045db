"""Whether a challenger replaces the champion: the judged models on test rows new to both. In doubt, it loses."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from champion.core.errors import ConflictError, NotFoundError, UserError
from champion.core.files import read_parquet, sha256_of
from champion.core.layout import MODEL, PARAMS, REHEARSED, SCHEMA, TEST
from champion.core.strict_yaml import Sections, read
from champion.delivery.comparison import compare
from champion.delivery.contest import Contest
from champion.delivery.listeners import follow
from champion.judging.comparison import Comparison, refuse_empty
from champion.judging.gate import shortfalls
from champion.params import Challenge
from champion.pipeline.evaluate.params import Gate
from champion.registry import history, standing
from champion.registry.chain import Row
from champion.registry.registry import Registry
from champion.registry.versions import REHEARSED_FILE, Version
from champion.repository.committed import require_committed
from champion.repository.lock import dvc_md5, verify_run
from champion.table.columns import Column, Columns


class ChallengeParams(Sections):
    """The sections of params.yaml that a challenge reads."""

    columns: dict[str, Column]
    gates: dict[str, Gate]
    challenge: Challenge = Challenge()

    @property
    def required(self) -> dict[str, Any]:
        """The limits, and the column whose groups are resampled, as JSON."""
        return self.challenge.model_dump(mode="json") | {"group": Columns(self.columns).only("group")}


@dataclass(frozen=True)
class Verdict:
    """The result, with every reason why the challenger lost.

    `row` is its row in the ledger. If nothing was judged, `row` is None and `stays` says why the champion stays.
    `contest` says what it had to do against the champion; None without one.
    """

    challenger: str
    champion: str | None
    row: Row | None = None
    reasons: Sequence[str] = ()
    contest: Contest | None = None
    comparison: Comparison | None = None
    stays: str | None = None

    @property
    def won(self) -> bool | None:
        """Whether the challenger is now the champion; None when nothing was judged."""
        return None if self.stays else not self.reasons


def challenge(registry: Registry, name: str | None = None) -> Verdict:
    """Judge a registered version, by default the version of the models on disk, and record the result.

    The version's models must be those on disk. Nothing is judged if it is the champion, or if the pair was compared
    before. Raises `ConflictError` when it is retired or answers another question than the champion, and `UserError`
    when there is nothing to judge, or when the limits or dvc.lock are not committed. If anything else is missing, the
    challenger loses.
    """
    root, rows = registry.workspace, registry.rows
    require_committed(root)
    params = read(ChallengeParams, root / PARAMS)
    challenger = _on_disk(registry) if name is None else registry.resolve(name)
    standing.refuse_retired(rows, challenger.name)
    holder = standing.champion(rows)
    if holder == challenger.name:
        return Verdict(challenger.name, holder, stays="it is itself the version to judge")
    earlier = standing.comparison(rows, holder, challenger.name) if holder is not None else None
    if earlier is not None:
        return Verdict(challenger.name, holder, stays=_told(earlier, challenger.name))
    champion = None if holder is None else history.versions(rows)[holder]
    contest = None if champion is None else Contest.between(champion, challenger)
    reasons, comparison = _judge(registry, params, champion, challenger, contest)
    with registry.ledger.appending() as session:
        standing.refuse_retired(session.rows, challenger.name)
        if standing.champion(session.rows) != holder:
            raise ConflictError("the champion changed while this challenge ran. Nothing was recorded; run it again.")
        row = session.append(
            "challenge",
            version=challenger.name,
            from_version=holder,
            model_sha256=challenger.model_sha256,
            reason="; ".join(reasons) or None,
            details={
                "promoted": not reasons,
                "kind": None if contest is None else contest.kind,
                "changed": [] if contest is None else list(contest.changed),
                "comparison": comparison.describe() if comparison else None,
                "required": params.required,
                "held_out_md5": dvc_md5(root / TEST),
            },
        )
    follow(registry, row)
    return Verdict(challenger.name, holder, row, reasons, contest, comparison)


def _judge(
    registry: Registry,
    params: ChallengeParams,
    champion: Version | None,
    challenger: Version,
    contest: Contest | None,
) -> tuple[list[str], Comparison | None]:
    """Every reason why the challenger loses, and the comparison if both were compared."""
    root = registry.workspace
    reasons: list[str] = []
    comparison = None
    try:
        outs = verify_run(root, (MODEL, REHEARSED, TEST, SCHEMA))
        registered = {MODEL: challenger.model_sha256, REHEARSED: challenger.files.get(REHEARSED_FILE)}
        reasons += [
            f"{path} is not that of {challenger.name}: check out the commit from which it was registered"
            for path, sha256 in registered.items()
            if sha256_of(root / path) != sha256
        ]
        if challenger.dirty and challenger.lineage != outs:
            reasons.append(
                f"{challenger.name} was registered with uncommitted changes, and then another result was committed"
            )
        reasons += shortfalls(challenger.metrics, challenger.training, params.gates)
        if champion is None or contest is None:
            refuse_empty(read_parquet(root / TEST), challenger.name, challenger.feature_names)
        elif not reasons:
            comparison = compare(registry, champion, challenger, params.challenge)
            reasons += comparison.shortfalls(contest.kind, params.challenge)
    except UserError as error:
        reasons.append(str(error))
    return reasons, comparison


def _on_disk(registry: Registry) -> Version:
    """The version of the models on disk; if an older program registered them too, the newest."""
    delivered, judged = (sha256_of(registry.workspace / path) for path in (MODEL, REHEARSED))
    for version in reversed(history.versions(registry.rows).values()):
        if version.model_sha256 == delivered and version.files.get(REHEARSED_FILE) == judged:
            return version
    raise NotFoundError(f"{MODEL} with {REHEARSED} is not registered. Run `champion register`.")


def _told(earlier: Row, challenger: str) -> str:
    """What an earlier challenge of the pair said, as seen by the champion."""
    row = f"before (ledger row {earlier.sequence})"
    if earlier.version == challenger:
        if earlier.outcome:
            return f"{challenger} won against it {row}, but was replaced again"
        return f"{challenger} lost to it {row}: {earlier.reason}"
    if earlier.outcome:
        return f"it won against {challenger} {row}"
    return f"it lost to {challenger} {row}, but replaced it since"
