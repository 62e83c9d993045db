"""The way of a champion through the environments, to the one that a retraining is for."""

from collections.abc import Iterable

from champion.core.errors import ConflictError, UserError
from champion.delivery.deployment import deploy, promote, rollback
from champion.delivery.proof import smoke_test
from champion.environments import Environment, load_environments
from champion.registry import history, standing
from champion.registry.registry import Registry


def way_to(environment: Environment) -> list[Environment]:
    """The environments through which a version comes to this one, this one last."""
    found, known = [environment], load_environments(environment.root)
    while found[0].promoted_from is not None:
        found.insert(0, known[found[0].promoted_from])
    return found


def deploy_through(environments: Iterable[Environment], version: str) -> None:
    """Deploy the champion to each environment, with a smoke test.

    Raises `ConflictError` when somebody decided against it since its challenge, and `UserError` when a test fails.
    """
    for environment in environments:
        registry = Registry.open(environment)
        _refuse_decided(registry, version)
        if environment.promoted_from is None:
            deploy(registry, version)
        else:
            promote(registry, version)
        _test(environment, version)
        print(f"{environment.name} serves {version}", flush=True)


def _test(environment: Environment, version: str) -> None:
    row, report = smoke_test(Registry.open(environment), version)
    if report.passed:
        return
    if environment.promoted_from is not None:
        rollback(Registry.open(environment), reason=f"smoke test failed: {row.reason}", automatic=True)
    raise UserError(f"the smoke test of {row.version} in {row.environment} failed: {'; '.join(report.failures)}.")


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
