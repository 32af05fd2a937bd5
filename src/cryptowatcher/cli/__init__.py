"""The command line. Nothing is imported here: `--help` answers before a heavy library could load."""


def main() -> None:
    """The entry point of `cryptowatcher`."""
    from cryptowatcher.cli.root import app

    app()
