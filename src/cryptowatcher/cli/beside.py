"""`python -m cryptowatcher.cli.beside CONFIG DATA`: the page as `run` starts it, in a process beside the pipeline.

No command for people: its two words are empty where nothing was given.
"""

from __future__ import annotations

import sys
from pathlib import Path

NEVER_USED = ("attr", "pydantic", "pygments", "rich")
"""They are here for the command line. Libraries of the page load them too where they find them (Litestar the first
two, httpx and structlog the others), for what the page has not got, and they take 15 MB."""


def main(config_file: str, data_dir: str) -> None:
    """Serve until told to stop; exit codes as of any command."""
    # Python takes a module that is None for one that is not installed. It must be so before anything is imported.
    sys.modules.update(dict.fromkeys(NEVER_USED))  # type: ignore[arg-type]  # it is typed as if there were only modules
    from cryptowatcher.cli.serve import serve_beside
    from cryptowatcher.errors import ConfigError, Error

    try:
        serve_beside(*(Path(given) if given else None for given in (config_file, data_dir)))
    except Error as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(2 if isinstance(error, ConfigError) else 1)


if __name__ == "__main__":
    main(*sys.argv[1:])
