"""The program: `champion`, or `python -m champion` with this interpreter."""

from champion.core.endings import one_line_errors


def main() -> None:
    """Run the command. A Ctrl-C while its modules are read is one line too."""
    with one_line_errors():
        from champion.cli.main import app

        app()


# A process that the command starts imports this module too.
if __name__ == "__main__":
    main()
