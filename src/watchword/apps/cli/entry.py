"""Start the command line, or say what to install: a bare install has the core alone."""

import sys

from watchword.extras import explained, is_of_others


def run() -> None:
    """Run the command line; without its packages tell how to get them and exit with 2."""
    try:
        from watchword.apps.cli.main import run as run_main  # noqa: PLC0415 - what may be missing is told.
    except ModuleNotFoundError as error:
        if not is_of_others(error):
            raise
        sys.stderr.write(f"the command line isn't complete: {explained(error)}\n")
        sys.exit(2)
    run_main()
