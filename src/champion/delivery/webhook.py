"""Messages to a Slack-compatible webhook, whose address is a secret."""

import os

from champion.core.errors import UnavailableError, UserError
from champion.core.masking import masked
from champion.core.values import escaped
from champion.registry import api_keys, rollouts
from champion.registry.chain import Row
from champion.registry.registry import Registry

VARIABLE = "CHAMPION_WEBHOOK_URL"
TIMEOUT_SECONDS = 5


def tell(_: Registry, row: Row) -> None:
    """Send the row to the webhook, if one is set."""
    if os.environ.get(VARIABLE):
        send(describe(row))


def send(text: str) -> None:
    """Post one message, without the secrets of URLs in it. Raises `UserError`, without the address, when refused."""
    # Imported here, because the import takes 0.3 s and most users have no webhook.
    import requests

    url = os.environ.get(VARIABLE)
    if not url:
        raise UserError(f"the environment variable {VARIABLE} is not set. Put the webhook's address there.")
    try:
        response = requests.post(url, json={"text": masked(text)}, timeout=TIMEOUT_SECONDS, allow_redirects=False)
    except (requests.RequestException, ValueError) as error:
        raise UnavailableError(f"the webhook of {VARIABLE} cannot be reached ({type(error).__name__}).") from None
    if not response.ok or response.is_redirect:
        raise UnavailableError(f"the webhook of {VARIABLE} answered with status {response.status_code}.")


def describe(row: Row) -> str:
    """The action in one sentence."""
    where = f" in {row.environment}" if row.environment else ""
    beside = row.action == rollouts.ROLL_OUT
    instead = f" {'beside' if beside else 'instead of'} {row.from_version}" if row.from_version else ""
    outcome = {True: ": passed", False: ": failed", None: ""}[row.outcome]
    why = f" ({row.reason})" if row.reason else ""
    # With the saved messages, people can notice that ledger rows were lost or replaced.
    head = f"ledger row {row.sequence} {row.short_hash}" if row.sequence else "not in the ledger yet"
    what = f" {row.version}" if row.version else f" {row.details['name']}" if row.action in api_keys.ACTIONS else ""
    shares = f": {rollouts.describe(row)}" if beside else ""
    return escaped(f"{row.action}{what}{where}{instead}{shares}{outcome}{why}, by {row.actor} ({head})")
