"""Write the log of refusals: JSON lines with the fields that every engine's log has."""

from collections.abc import Iterable
from typing import Final

_FIELDS: Final = {
    "time": '"$time_iso8601"',
    "ref": '"$watchword_log_ref"',
    "route": '"$watchword_route"',
    "status": "$status",
    "reason": '"$watchword_reason"',
    "details": '"$watchword_details"',
    "method": '"$request_method"',
    "instance": '"$watchword_log_instance"',
    "client": '"$remote_addr"',
    "milliseconds": "$watchword_milliseconds",
}


def log_lines(path: str) -> Iterable[str]:
    """Yield the log and what it is made of.

    Requests that passed aren't logged.  Neither the target nor a field of the request is: both hold secrets.
    """
    members = ",".join(f'"{name}":{value}' for name, value in _FIELDS.items())
    yield f"log_format watchword escape=json '{{{members}}}';"
    yield 'map $status $watchword_logged { "~^[45]" 1; default 0; }'
    yield f'access_log "{path}" watchword if=$watchword_logged;'
    yield 'map $watchword_ref $watchword_log_ref { "" $request_id; default $watchword_ref; }'
    yield (
        'map $watchword_refused_instance $watchword_log_instance { "" $watchword_instance; '
        "default $watchword_refused_instance; }"
    )
    yield (
        'map "$watchword_status:$upstream_status" $watchword_details '
        '{ "~^[0-9]" authz; "~^:[0-9]" upstream; default nginx; }'
    )
    yield "# Seconds with three decimals, as a number of milliseconds (JSON knows no leading zeros)."
    yield (
        "map $request_time $watchword_milliseconds { "
        '"~^0\\.0*([1-9][0-9]*)$" $1; "~^([1-9][0-9]*)\\.([0-9]+)$" $1$2; default 0; }'
    )
