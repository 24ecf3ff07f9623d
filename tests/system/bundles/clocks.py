"""Give processes a wall clock that a test sets, and leave the machine's own alone."""

import mmap
import shutil
import struct
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.machine import patience

_SHIM: Final = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *ahead;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("WATCHWORD_TEST_CLOCK");
    int file = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    void *found = file < 0 ? MAP_FAILED : mmap(NULL, 8, PROT_READ, MAP_SHARED, file, 0);
    if (file >= 0) close(file);
    if (found != MAP_FAILED) ahead = found;
}

int clock_gettime(clockid_t which, struct timespec *at) {
    int failed = (int)syscall(SYS_clock_gettime, which, at);
    if (failed == 0 && ahead != NULL && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE))
        at->tv_sec += *ahead;
    return failed;
}

int gettimeofday(struct timeval *restrict at, void *restrict zone) {
    struct timespec now;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0) return -1;
    at->tv_sec = now.tv_sec;
    at->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *at) {
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0) return -1;
    if (at != NULL) *at = now.tv_sec;
    return now.tv_sec;
}
"""


class NoCompilerError(Exception):
    """Report that this machine can't build what stands before the system's clock."""


class SettableClock:
    """Hold how far the clock of some processes is ahead of the machine's."""

    def __init__(self, directory: Path) -> None:
        """Build what stands before the system's clock; it tells the right time at first.

        :raises NoCompilerError: when there is no C compiler.
        """
        compiler = shutil.which("cc")
        if compiler is None:
            raise NoCompilerError("no cc here")
        source, self._shim, self._file = (
            directory / name for name in ("clock.c", "clock.so", "ahead")
        )
        source.write_text(_SHIM, "ascii")
        subprocess.run(
            [compiler, "-shared", "-fPIC", "-O1", "-o", str(self._shim), str(source)],
            check=True,
            timeout=patience(60),
        )
        self._file.write_bytes(bytes(8))

    @property
    def environment(self) -> Mapping[str, str]:
        """Return what a process must be started with to go by this clock."""
        return {"LD_PRELOAD": str(self._shim), "WATCHWORD_TEST_CLOCK": str(self._file)}

    def set(self, seconds: int) -> None:
        """Set it ahead of the machine's clock, or behind where it is negative, for all processes at once."""
        with self._file.open("r+b") as file, mmap.mmap(file.fileno(), 8) as ahead:
            ahead[:8] = struct.pack("=q", seconds)
