"""Remove what the prediction log has of one user. The ledger's row names nobody."""

from champion.core.errors import NotFoundError
from champion.delivery.listeners import follow
from champion.predictions.log import PredictionLog
from champion.predictions.users import Pseudonyms
from champion.registry import history
from champion.registry.chain import Row
from champion.registry.registry import Registry


def erase(registry: Registry, user_id: str, reason: str | None = None) -> Row:
    """Remove the user's rows; the ledger's new row. Raises `NotFoundError` when there are none."""
    environment = registry.environment
    log = PredictionLog.open(environment)
    with registry.ledger.appending() as session:
        count = log.erase(Pseudonyms(environment.users_key).of(user_id))
        if not count:
            raise NotFoundError(f"the prediction log of {environment.name} has no row of this user.")
        row = session.append(history.ERASE, environment=environment.name, reason=reason, details={"rows": count})
    follow(registry, row)
    return row
