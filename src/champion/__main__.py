"""`python -m champion` runs the command with this interpreter."""

from champion.cli.main import app

# A process that the command starts imports this module too.
if __name__ == "__main__":
    app()
