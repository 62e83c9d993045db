"""`python -m champion` runs the command with this interpreter."""

from champion.cli.main import app

app()
