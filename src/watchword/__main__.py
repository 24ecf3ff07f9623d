"""Run ``python -m watchword``, which is the command ``watchword``."""

from watchword.apps.cli.entry import run

if __name__ == "__main__":
    run()
