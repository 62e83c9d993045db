"""`python -m champion`: the command, run by this interpreter."""

from champion.cli.main import app

app()
