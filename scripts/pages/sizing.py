"""Write docs/sizing.md: what an instance and a request cost, read from benchmarks/results, and three deployments reckoned from it."""

from collections.abc import Iterator
from typing import Final, NamedTuple

from benchmarks.report import RESULTS, read_rows
from scripts.cited_tests import ROOT

TARGET: Final = ROOT / "docs" / "sizing.md"

ANDROID_BYTES: Final = 1_300
"""Bytes that the enrolment of an Android phone adds to the store, indexes and audit entry included."""
IOS_BYTES: Final = 5_100
"""The same of an iPhone. Apple's receipt is 4.1 kB of it."""
AUDIT_BYTES: Final = 164
"""Bytes of an audit entry. tests/system/test_sizing.py measures all three, and that a renewal adds none."""

SESSIONS: Final = 5
REQUESTS: Final = 20
PEAK: Final = 4
INSTALL_DAYS: Final = 10
DAY: Final = 86_400

ENROLMENTS: Final = ("overload", "enrolment: peak in a closed loop, a second")
VERIFICATIONS: Final = ("overload", "verification on granian: peak in a closed loop, a second")
ADDED_SESSION: Final = ("gate", "session proof, added CPU us (peer: raw ES256 verify)")
ADDED_DEVICE: Final = ("gate", "device proof, added CPU us (peer: raw ES256 verify)")
NGINX_SESSION: Final = ("gate", "nginx: session proof, exact replay, CPU us (peer: plain proxy)")
HAPROXY_SESSION: Final = (
    "gate",
    "haproxy: session proof, exact replay, CPU us (peer: plain proxy)",
)
ENVOY_SESSION: Final = ("gate", "Envoy: session proof, exact replay, CPU us (peer: plain proxy)")
ASKED_TOKEN: Final = ("gate", "/authz asked directly: cached token, CPU us (peer: open app)")
START_MEMORY: Final = ("up", "service RSS after 300 requests, MB (floor: bare granian)")


class Deployment(NamedTuple):
    """Hold one worked example: how many instances, and how often each renews in a day."""

    title: str
    instances: int
    renewals: int


DEPLOYMENTS: Final = (
    Deployment("10,000", 10_000, SESSIONS),
    Deployment("100,000", 100_000, SESSIONS),
    Deployment("1,000,000", 1_000_000, SESSIONS),
    Deployment("1,000,000, tokens of 1 h", 1_000_000, 3),
)


def figure(source: tuple[str, str]) -> float:
    """Return our figure of a row, by its file and its measure.

    :raises KeyError: where the file has no such row.
    """
    file, measure = source
    for row in read_rows(RESULTS / f"{file}.json"):
        if row["measure"].strip() == measure:
            return float(row["ours"])
    raise KeyError(f"benchmarks/results/{file}.json has no row {measure!r}")


def page() -> str:
    """Return the page's text."""
    return "\n".join((_HEAD, *_measured(), _MODEL, *_reckoned(), _TAIL))


def _measured() -> Iterator[str]:
    yield "| what | figure | file | row |"
    yield "| --- | ---: | --- | --- |"
    for what, unit, digits, source in (
        ("enrolments of one service, most", "a second", 0, ENROLMENTS),
        ("memory of the service, after 300 requests", "MB", 0, START_MEMORY),
        ("requests that one gate process verifies, most", "a second", -2, VERIFICATIONS),
        ("middleware: what a session proof adds", "µs", 0, ADDED_SESSION),
        ("middleware: what a device proof adds", "µs", 0, ADDED_DEVICE),
        ("`/authz`: a question, token met before", "µs", 0, ASKED_TOKEN),
        ("nginx with Lua: a whole request, session proof", "µs", 0, NGINX_SESSION),
        ("HAProxy: a whole request, session proof", "µs", 0, HAPROXY_SESSION),
        ("Envoy: a whole request, session proof", "µs", 0, ENVOY_SESSION),
    ):
        file, measure = source
        yield f"| {what} | {round(figure(source), digits):,.0f} {unit} | `{file}.json` | {measure} |"


def _reckoned() -> Iterator[str]:
    columns = [_column(each) for each in DEPLOYMENTS]
    yield f"| | {' | '.join(each.title for each in DEPLOYMENTS)} |"
    yield f"| --- | {' | '.join('---:' for _ in DEPLOYMENTS)} |"
    for name in columns[0]:
        yield f"| {name} | {' | '.join(each[name] for each in columns)} |"


def _column(deployment: Deployment) -> dict[str, str]:
    """Return one deployment's rows, by their names."""
    instances = deployment.instances
    renewals = instances * deployment.renewals
    writes = (renewals + instances / INSTALL_DAYS) / DAY * PEAK
    requests = instances * SESSIONS * REQUESTS / DAY * PEAK
    share = writes / figure(ENROLMENTS)
    return {
        "renewals a day": f"{renewals:,}",
        "enrolments and renewals a second, at the peak": f"{writes:,.1f}",
        "of what one service was measured to do": f"{share:.0%}",
        "requests a second, at the peak": f"{requests:,.0f}",
        "gate processes that this takes, at half of what one was measured to do": f"{-(-requests // (figure(VERIFICATIONS) / 2)):.0f}",
        "processors for session proofs in middleware": f"{requests * figure(ADDED_SESSION) / 1e6:.2g}",
        "store: instances": _size(instances * (ANDROID_BYTES + IOS_BYTES) / 2),
        "one service carries it": _verdict(share),
    }


def _size(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def _verdict(share: float) -> str:
    if share <= 0.25:
        return "yes"
    return "with care: measure it on your machine" if share <= 0.6 else "no: too little room"


_HEAD: Final = """\
# Sizing

How much processor, memory and disk an instance and a request cost, and how far one machine reaches. Written by
`python -m scripts.pages sizing`, which reads the figures from `benchmarks/results`; [performance](performance.md) says how each was measured.

## Limits today

- **One service process with SQLite.** A second `watchword up` on the same state directory is refused. [Several nodes](nodes.md) share a PostgreSQL;
  what a fleet of them takes is told on [another page](capacity.md).
- **Gates scale out freely.** Each decides by itself from the [bundle](bundle.md). A proof that must pass once over all of them needs a
  [shared store](replay.md).
- **When the service is down**, tokens that are out pass until they end, five minutes by default. Nobody enrols or renews meanwhile.
- **The store grows** until you say [how long instances are kept](data-lifetimes.md). The [audit trail](operating.md#the-audit-trail) isn't shortened.
  Renewals add nothing to it.
- **Gates know up to 4,000,000 instances** that were revoked within the life of a token. [What they cost](gate-bundles.md#sizing): 8 to 11 bytes each in a
  gate's process. Gates of 0.2.0 hear of nothing further above 300,000, until older ones age out.

## What was measured

Two virtual cores, loopback, one process of each kind. Load generator and server shared the machine. Times are processor time.
"""

_MODEL: Final = f"""
Disk was measured by enrolling 100 simulated phones of each kind; `tests/system/test_sizing.py` repeats it.

| in `watchword.db` | bytes |
| --- | ---: |
| an Android phone: instance, certificates, indexes, audit entry | {ANDROID_BYTES:,} |
| an iPhone: the same, and Apple's receipt of 4.1 kB | {IOS_BYTES:,} |
| each renewal, for good: nothing, its instance's row has a mark for the day | 0 |
| each change of an app's version or of the system: an audit entry | {AUDIT_BYTES} |
| each renewal, for about an hour (two, with tokens of an hour): the used challenge | 70 |

Memory that grows with load has bounds:

| memory | at most |
| --- | ---: |
| bodies that a proof covers, held in one gate process | 256 MiB |
| instances that a rate tells apart | 30 MB |
| instances that quotas tell apart | 90 MB |
| addresses that the service counts enrolments of | 20 MB |

## Three deployments

The arithmetic, so that you can put in your own numbers:

- Each phone opens the app {SESSIONS} times a day, for less than three minutes: one renewal each. It sends {REQUESTS} requests each time.
- Everybody installs within {INSTALL_DAYS} days. Half of the phones are iPhones. The busiest hour has {PEAK} times the average.
- Enrolments and renewals a second: `(instances * renewals a day + instances / {INSTALL_DAYS}) / {DAY:,} * {PEAK}`.
- Requests a second: `instances * {SESSIONS} * {REQUESTS} / {DAY:,} * {PEAK}`.
- Processors for proofs: `requests a second * what a session proof adds`.
- Store: `instances * ({ANDROID_BYTES:,} + {IOS_BYTES:,}) / 2`. Audit trail: `instances * updates a year * {AUDIT_BYTES}`: 8.5 GB a year
  for a million phones that update an app or their system once a week.
- Renewals weren't measured by themselves. Each is one durable transaction like an enrolment, so that the same rate is taken for both.
"""

_TAIL: Final = """
The last column sets `token_lifetime: 1h`. A phone whose sessions lie within an hour then renews once, here three times a day. A stolen
`bearer` token lives as long; revocation still acts within a second.

## Check it on your machine

`make bench-overload` in a clone measures what your machine enrols and verifies. The size of your store:

```console
$ du -h /var/lib/watchword/watchword.db*
```

Put the state directory on a local disk that flushes: each enrolment and renewal waits for one flush.
"""
