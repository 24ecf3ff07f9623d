"""Print a page as PDF with the Chromium of this machine."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from watchword.reasons import ExitCode, WatchwordError

NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
"""Programs that can print, the first that is there is taken."""

SECONDS: Final = 60.0
"""Longest time that printing may take."""

MAX_BYTES: Final = 50 << 20


class PdfError(WatchwordError):
    """Report that a page can't be printed; the text says what to do instead."""

    exit_code = ExitCode.USAGE


def print_pdf(page: str, *, seconds: float = SECONDS) -> bytes:
    """Return a page as PDF.

    The program gets a directory and a profile of its own, which are gone afterwards, and no environment of ours.

    :param page: HTML that needs nothing else.
    :raises PdfError: where there is no such program, or it fails.
    """
    program = next((found for each in NAMES if (found := shutil.which(each))), None)
    if program is None:
        raise PdfError(
            f"no PDF: got none of {', '.join(NAMES)} on this machine; install Chromium, or print the page from your browser"
        )
    with tempfile.TemporaryDirectory(prefix="watchword-pdf-", ignore_cleanup_errors=True) as name:
        directory = Path(name)
        source, made = directory / "page.html", directory / "page.pdf"
        source.write_text(page, encoding="utf-8")
        _run(_command(program, directory, source, made), directory, seconds)
        if not made.is_file() or not 0 < made.stat().st_size <= MAX_BYTES:
            raise PdfError(
                f"no PDF: {program} ended without making one; print the page from your browser"
            )
        return made.read_bytes()


def _command(program: str, directory: Path, source: Path, made: Path) -> list[str]:
    return [
        program,
        "--headless",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-extensions",
        "--disable-background-networking",
        "--no-first-run",
        "--no-pdf-header-footer",
        # Chromium refuses its sandbox to root; the page is ours, and its policy allows no script.
        *(["--no-sandbox"] if os.geteuid() == 0 else []),
        f"--user-data-dir={directory / 'profile'}",
        f"--print-to-pdf={made}",
        source.as_uri(),
    ]


def _run(command: list[str], directory: Path, seconds: float) -> None:
    environment = {"HOME": str(directory), "PATH": os.defpath}
    try:
        process = subprocess.Popen(  # noqa: S603 - the names above, and files of ours.
            command,
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        raise PdfError(f"no PDF: {command[0]} can't be started: {error.strerror}") from None
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        raise PdfError(
            f"no PDF: {command[0]} took longer than {seconds:.0f} seconds; print the page from your browser"
        ) from None
    finally:
        # Its own processes stay beside it otherwise, also when it ended by itself.
        _kill_group(process)


def _kill_group(process: "subprocess.Popen[bytes]") -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
