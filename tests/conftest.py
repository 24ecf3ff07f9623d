"""Set up what every test shares."""

import fcntl
import signal
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, settings

# How fast a machine is says nothing about the code: a loaded one must not fail a property.
settings.register_profile("watchword", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("watchword")

# Where a shell starts the tests in the background, or under nohup, SIGINT is ignored, and what ignores it passes that on to whatever
# it starts.  The product is right to obey; a test of Ctrl-C starts what somebody sits before.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

Once = Callable[[str, Callable[[], str]], str]
"""Takes a name and what makes a text; returns the text, which is made once in a run of the tests."""


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Once:
    """Return what makes a costly text once, whichever of the processes that share the tests needs it first."""
    directory = tmp_path_factory.getbasetemp()
    if hasattr(pytestconfig, "workerinput"):
        # Each process has a directory of its own, below the one of the whole run.
        directory = directory.parent

    def made(name: str, make: Callable[[], str]) -> str:
        file = directory / f"once-{name}"
        with (directory / f"once-{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not file.exists():
                text = make()
                file.write_text(text, encoding="utf-8")
            return file.read_text(encoding="utf-8")

    return made


TIERS = ("unit", "system", "long")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how many tests of each tier ran, by outcome: a test leaves a tier only for the next one."""
    for tier in (*TIERS, "examples"):
        prefix = tier if tier == "examples" else f"tests/{tier}"
        counted = {
            outcome: len(
                {
                    report.nodeid
                    for report in terminalreporter.getreports(outcome)
                    if report.nodeid.startswith(f"{prefix}/")
                }
            )
            for outcome in ("passed", "failed", "error", "skipped", "xfailed")
        }
        if any(counted.values()):
            told = ", ".join(f"{count:,} {outcome}" for outcome, count in counted.items() if count)
            terminalreporter.write_line(f"{tier}: {told}")
