"""Measure the Android SDK: how much code it adds to an app, and how long it holds a request up.

An app that asks its API by OkHttp is shrunk by R8, and the same app with Watchword; what the second is larger by is the SDK's.  Android's
dexer has to be there (``make sdk-dex``).

On the JVM a bare OkHttp client and one with Watchword send GETs on a ``session`` route in turns, each over one connection to a server in
the same process that answers at once.  Of both the median counts.  A third client sends fixed headers as long as ours: what their bytes
cost on the wire, whoever makes them.

Run: ``python -m benchmarks.bench_sdk [REQUESTS]``.
"""

import os
import statistics
import subprocess
import sys
import zlib

from benchmarks.report import Row, write_report
from scripts.sdk import android, apk

REQUESTS = 10_000
ADDED_US, ADDED_KB = 30.0, 60.0
MODULE = "measured"
NAMES = {"okhttp-3": "OkHttp 3.13", "okhttp-5": "OkHttp 5.5"}
PACKAGE = f"dev.watchword.{MODULE}"


def size_rows(build: android.Build, library: str) -> list[Row]:
    """Measure the code of two apps with an OkHttp that differ in Watchword alone."""
    codes = [
        apk.shrunk(build, MODULE, f"-keep class {PACKAGE}.{name} {{ *; }}", library)
        for name in ("BareApp", "ProtectedApp")
    ]
    bare, ours = (len(code) / 1000 for code in codes)
    bare_packed, ours_packed = (len(zlib.compress(code, 9)) / 1000 for code in codes)
    name = NAMES[library]
    return [
        Row.at_most(
            f"code that Watchword adds to an app with {name}, KB", ours - bare, None, ADDED_KB
        ),
        Row(f"  the same as it is downloaded: compressed, {name}, KB", ours_packed - bare_packed),
        Row(f"  the whole app's code with {name}, KB (peer: without Watchword)", ours, bare),
    ]


def request_rows(build: android.Build, library: str, requests: int) -> list[Row]:
    """Measure requests by an OkHttp with and without Watchword."""
    path = [build.compiled_tests(MODULE, library), *build.classpath(MODULE, library)]
    done = subprocess.run(
        ["java", "-cp", os.pathsep.join(map(str, path)), f"{PACKAGE}.RequestsKt", str(requests)],
        capture_output=True,
        text=True,
        check=True,
    )
    rounds = [tuple(map(int, line.split())) for line in done.stdout.splitlines()]
    bare, sized, ours = (statistics.median(each) / 1000 for each in zip(*rounds, strict=True))
    name = NAMES[library]
    added = f"what Watchword adds to a request by {name} on a session route, us"
    return [
        Row.at_most(added, ours - bare, None, ADDED_US),
        Row(f"  of it what fixed headers of the same length add, {name}, us", sized - bare),
        Row(f"  the whole request by {name}, us (peer: without Watchword)", ours, bare),
    ]


def main(requests: int = REQUESTS) -> bool:
    """Measure, print and write ``results/sdk.json``; tell whether all goals hold."""
    build = android.Build()
    rows = [row for library in NAMES for row in size_rows(build, library)]
    rows += [row for library in NAMES for row in request_rows(build, library, requests)]
    return write_report("sdk", rows)


if __name__ == "__main__":
    sys.exit(0 if main(*map(int, sys.argv[1:2])) else 1)
