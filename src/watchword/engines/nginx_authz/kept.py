"""Write how nginx keeps verdicts, so that it needn't ask about the next request of a token to the same target.

A verdict is kept only where its place is memory, since each one is written to a file: on a disk that is slower
than to ask.  What may be kept, and for how long, is said by /authz with each answer; here stands when an entry may
be used.  An entry is filed under the generation of the bundle, and used only while the file of that generation is
there: whoever brings a new one removes it first.  Workers of the configuration before, which go on serving
connections that are open, find it gone too and ask from then on.
"""

import re
from collections.abc import Iterable
from typing import Final

from watchword.engines.places import EngineOptions
from watchword.gate.bundle import GateBundle
from watchword.gate.interface import GatePolicy
from watchword.vocabulary import Mode, Proof

MARKER_PREFIX: Final = "generation-"
"""Files of this name say of which generation verdicts may be used."""

_MARKER: Final = re.compile(rf'if \(!-f "[^"]*/({MARKER_PREFIX}[0-9]+)"\)')

_MEMORY: Final = ("/dev/shm/", "/run/")  # noqa: S108 - the directory there is ours alone, mode 0700.

_LOOKED_AT: Final = (
    "$http_signature",
    "$http_signature_input",
    "$http_dpop",
    "$http_content_digest",
    "$http_x_original_generation",
)
"""Fields that can make a request another one; with any of them it is asked about."""


def marker(bundle: GateBundle) -> str:
    """Return the name of the file of a bundle's generation.

    Only whoever follows the bundle makes it, as a link to what ends with its process: where nobody would empty what
    is kept, nothing is.
    """
    return f"{MARKER_PREFIX}{bundle.generation}"


def marker_of(configuration: str) -> str | None:
    """Return the name of the file that a configuration looks for, None where it keeps nothing."""
    found = _MARKER.search(configuration)
    return None if found is None else found[1]


def is_kept(bundle: GateBundle, options: EngineOptions) -> bool:
    """Tell whether verdicts are kept: where the files are in memory, and anything rests on the token alone."""
    return in_memory(options) and not _hindrance(bundle, options)


def in_memory(options: EngineOptions) -> bool:
    """Tell whether the directory is in memory on every Linux."""
    return options.directory.startswith(_MEMORY)


def _hindrance(bundle: GateBundle, options: EngineOptions) -> str:
    """Return why every request has to be asked about, empty where none has."""
    policy = bundle.policy
    found = [
        (
            policy.rate is not None or bool(policy.limits),
            "the API's rate and limits count requests",
        ),
        (policy.binding_header is not None, "tokens are bound to a header"),
        (bundle.canaries is not None, "requests are searched for planted keys"),
        (options.signed_verdict, "a verdict is signed for each request"),
        (not _has_row(policy), "no route rests on the token alone"),
    ]
    return next((why for hinders, why in found if hinders), "")


def _has_row(policy: GatePolicy) -> bool:
    return any(
        route.mode is Mode.ENFORCE and route.proof is Proof.BEARER for route in policy.routes
    )


def why(bundle: GateBundle, options: EngineOptions) -> str:
    """Return in a sentence whether verdicts are kept, and why not."""
    hindrance = _hindrance(bundle, options)
    if hindrance:
        return f"No verdict is kept: {hindrance}."
    if not in_memory(options):
        return (
            "No verdict is kept: nginx writes each to a file, and this directory may be on a disk. "
            "With a directory below /dev/shm or /run verdicts are kept for at most 30 s."
        )
    return (
        "Verdicts on routes in mode enforce with proof bearer are kept for at most 30 s, as long as "
        "`watchword gate follow --engine nginx-authz` runs; without it every request is asked about."
    )


def shared_lines(options: EngineOptions) -> Iterable[str]:
    """Yield what stands outside of the location that asks."""
    yield "# Verdicts, in memory; each is a file."
    yield (
        f'proxy_cache_path "{options.path("kept")}" levels=1:2 keys_zone=watchword:20m max_size=256m '
        "inactive=30s use_temp_path=off;"
    )
    yield "# What Connection names may be a field that decides."
    yield (
        'map $http_connection $watchword_odd_connection { "" ""; keep-alive ""; close ""; default 1; }'
    )
    yield "# A head of 10,000 bytes or more may be over the gate's caps; this one counts the request line too."
    yield 'map $watchword_length $watchword_long { "~^[0-9]{5}" 1; default ""; }'


def guarded_lines() -> Iterable[str]:
    """Yield what stands in the location that is guarded."""
    yield "# Asked for here, since a subrequest has no length of its own."
    yield "set $watchword_length $request_length;"


def asking_lines(bundle: GateBundle, options: EngineOptions) -> Iterable[str]:
    """Yield what stands in the location that asks."""
    generation = bundle.generation
    yield f"proxy_set_header X-Original-Generation {generation};"
    yield 'set $watchword_another "";'
    yield f'if (!-f "{options.path(marker(bundle))}") {{ set $watchword_another 1; }}'
    yield "proxy_cache watchword;"
    yield "# Blanks can stand in no part but the last, so that no two requests have one key."
    yield (
        f'proxy_cache_key "{generation} $request_method $http_host $request_uri $http_watchword_token";'
    )
    conditions = " ".join(
        ("$watchword_another", "$watchword_odd_connection", "$watchword_long", *_LOOKED_AT)
    )
    yield f"proxy_cache_bypass {conditions};"
    yield f"proxy_no_cache {conditions};"
    yield "# For how long is said by /authz in X-Accel-Expires; without it nothing is kept."
    yield "proxy_ignore_headers Cache-Control Expires Set-Cookie Vary;"
