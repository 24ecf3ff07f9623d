"""Run what :mod:`watchword.apps.lab.cli` declares."""

import hashlib
import json
import ssl
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, TextIO

import click
import httpx

from watchword.adapters.lab_store import change_status, load_status_list
from watchword.apps.lab.phones import (
    JudgedKind,
    attestation_serials,
    auth_of,
    authorities_of,
    build_phone,
    choose_app,
    choose_target,
    judged_kinds,
    kept_client,
    lab_settings,
    new_phone,
    sent_proof,
)
from watchword.apps.settings.load import load_settings
from watchword.apps.terminal.console import EXIT_REFUSED, EXIT_UNAVAILABLE, print_json
from watchword.apps.terminal.paragraphs import terminal_width
from watchword.client import (
    ClientError,
    ServiceRefusedError,
    ServiceUnavailableError,
    WatchwordClient,
)
from watchword.encoding import base64url
from watchword.encoding.phrases import duration
from watchword.lab import PHONES
from watchword.lab.status_list import LabStatusList, Status
from watchword.policy.interface import Policy
from watchword.policy.registry import BALANCED
from watchword.reasons import Reason
from watchword.vocabulary import Platform


def phones(config: Path, as_json: bool) -> None:
    """List the kinds of phones, and what the file's policy makes of each; `balanced` where there is no file."""
    policy, judged = _judged_kinds(config)
    if as_json:
        print_json(
            [
                {
                    "kind": kind,
                    "platform": model.platform.value,
                    "summary": model.summary,
                    "level": judged[kind].level.value,
                    "reasons": [reason.code for reason in judged[kind].reasons],
                }
                for kind, model in PHONES.items()
            ]
        )
        return
    click.echo(f"Under policy {policy.name}:")
    for kind, model in PHONES.items():
        reasons = judged[kind].reasons
        verdict = reasons[0].code if reasons else f"level {judged[kind].level.value}"
        line = f"{kind:<30}{verdict:<38}{model.summary}"
        if sys.stdout.isatty() and len(line) > terminal_width():
            line = f"{kind:<30}{verdict}\n    {model.summary}"
        click.echo(line)


def _judged_kinds(config: Path) -> tuple[Policy, Mapping[str, JudgedKind]]:
    """Return the file's policy and what it makes of each kind; what is written down for `balanced` needn't be tried."""
    settings = load_settings(config) if config.exists() else None
    policy = BALANCED if settings is None else settings.policy
    if settings is None or policy == BALANCED:
        written = {kind: model.expected for kind, model in PHONES.items()}
        return policy, {
            kind: JudgedKind(each.level, tuple(each.reasons)) for kind, each in written.items()
        }
    return policy, judged_kinds(policy, tuple(settings.apps.values()))


def anchors(config: Path, output: TextIO, as_json: bool) -> None:
    """Write the lab's trust anchors, for a verifier that should believe its phones."""
    document = authorities_of(lab_settings(config)).anchors_document()
    output.write(json.dumps(document, indent=None if as_json else 2) + "\n")


def evidence(
    config: Path,
    kind: str,
    app_name: str | None,
    challenge: str | None,
    binding: str | None,
    output: BinaryIO,
    as_json: bool,
) -> None:
    """Write a new phone's evidence: a PEM chain, CBOR (App Attest) or a token (Play Integrity)."""
    settings = lab_settings(config)
    app = choose_app(settings, kind, app_name)
    bound = bound_bytes(app.platform, challenge, binding)
    found = build_phone(authorities_of(settings), kind, app, new_phone(kind)).attest(bound)
    output.write(evidence_file(found))
    summary = {
        "kind": kind,
        "app": app.id,
        "format": found["format"],
        "binding": bound.hex(),
        "key_id": found.get("key_id"),
        "file": output.name,
    }
    if as_json:
        print_json(summary)
        return
    for name, value in summary.items():
        if value:
            click.echo(f"{name:<8}{value}", err=True)


def request(
    ctx: click.Context,
    kind: str,
    target: tuple[str, ...],
    app_name: str | None,
    data: str | None,
    proof: str,
    new: bool,
    as_json: bool,
) -> None:
    """Enrol a phone at the running service and send one request with token and proof."""
    if len(target) > 2:
        raise click.UsageError("expected [METHOD] URL")
    settings = lab_settings(ctx.obj)
    app = choose_app(settings, kind, app_name)
    url, api = choose_target(settings, app, target[-1])
    method = target[0].upper() if len(target) == 2 else "GET" if data is None else "POST"
    if not (method.isascii() and method.isalpha()):
        raise click.UsageError(f"got method {method!r}, expected one such as GET")
    headers = {} if data is None else {"content-type": "application/json"}
    try:
        with (
            kept_client(settings, kind, app, api, new=new) as client,
            httpx.Client(auth=auth_of(client, api, proof), timeout=30, trust_env=False) as http,
        ):
            response = http.request(method, url, content=data, headers=headers)
    except ServiceRefusedError as error:
        print_refusal(error, as_json=as_json)
        ctx.exit(EXIT_REFUSED)
    except ClientError as error:
        # A lab's phones ask there, whatever the issuer is called.
        where = f"the service at http://{settings.service.listen}"
        if isinstance(error, ServiceUnavailableError) and error.retry_after is not None:
            said = f"no token from {where}: {error}; it asks to come again in {duration(round(error.retry_after))}"
        else:
            said = f"no answer of {where}: {error}; is `watchword up` running?"
        click.echo(said, err=True)
        ctx.exit(EXIT_UNAVAILABLE)
    except httpx.HTTPError as error:
        place = httpx.URL(url).copy_with(path="/", query=None)
        click.echo(f"no answer of the API at {place}: {error}; does it listen there?", err=True)
        ctx.exit(EXIT_UNAVAILABLE)
    print_response(response, client, as_json=as_json)
    ctx.exit(0 if response.is_success else EXIT_REFUSED)


def revoke(config: Path, target: str, as_json: bool) -> None:
    """Withdraw an attestation certificate for good, as Google does when a key leaks."""
    _change(config, target, Status.REVOKED, as_json=as_json)


def suspend(config: Path, target: str, as_json: bool) -> None:
    """Withdraw an attestation certificate for the time being."""
    _change(config, target, Status.SUSPENDED, as_json=as_json)


def restore(config: Path, target: str, as_json: bool) -> None:
    """Take an attestation certificate off the list again."""
    _change(config, target, None, as_json=as_json)


def status_list(config: Path, as_json: bool) -> None:
    """Show the lab's status list; with --json in the form of Google's."""
    settings = lab_settings(config)
    found = load_status_list(settings.service.state_dir, authorities_of(settings))
    if as_json:
        print_json(found.document())
        return
    for serial, status in found.entries.items():
        click.echo(f"{status.value:<11}{serial}")


def _change(config: Path, target: str, status: Status | None, *, as_json: bool) -> None:

    settings = lab_settings(config)
    authorities = authorities_of(settings)
    serials = attestation_serials(settings, authorities, target)
    changed: LabStatusList | None = None
    for serial in serials:
        try:
            changed = change_status(settings.service.state_dir, authorities, serial, status)
        except ValueError as error:
            raise click.UsageError(f"{error}, or a kind of phone") from None
    assert changed is not None
    said = "restored" if status is None else status.value
    if as_json:
        print_json({"status": said, "serials": serials, "entries": len(changed.entries)})
        return
    for serial in serials:
        click.echo(f"{said:<11}{serial}")


def print_refusal(error: ServiceRefusedError, *, as_json: bool) -> None:
    """Show why the service gave no token; the API saw nothing of it."""
    problem = error.problem
    if as_json:
        print_json(
            {
                "answered_by": "service",
                "status": problem.status,
                "type": problem.slug,
                "reasons": problem.reasons,
                "ref": problem.ref,
            }
        )
        return
    reasons = f" ({', '.join(problem.reasons)})" if problem.reasons else ""
    click.echo(f"the service refused: {problem.status} {problem.slug}{reasons}", err=True)
    if Reason.INSTANCE_REVOKED.code in problem.reasons:
        click.echo("this phone is revoked for good; --new takes another one", err=True)
    if problem.ref:
        click.echo(f"more: watchword explain {problem.ref}", err=True)


def print_response(response: httpx.Response, client: WatchwordClient, *, as_json: bool) -> None:
    """Print an answer of the API or its gate, the way `curl -i` does."""
    if as_json:
        print_json(
            {
                "answered_by": "api",
                "proof": sent_proof(response.request),
                "status": response.status_code,
                "headers": dict(response.headers),
                "body": response.text,
                "instance": client.instance,
                "level": client.level,
            }
        )
        return
    click.echo(f"{response.http_version} {response.status_code} {response.reason_phrase}")
    for name, value in response.headers.items():
        click.echo(f"{name}: {value}")
    click.echo()
    click.echo(response.content, nl=not response.content.endswith(b"\n"))


def bound_bytes(platform: Platform, challenge: str | None, binding: str | None) -> bytes:
    """Return what the evidence carries: a challenge the way apps use it, or the bytes given.

    :raises click.UsageError: unless it is one of both, 1 to 128 bytes in hex.
    """
    given = binding if challenge is None else challenge
    if given is None or (challenge is not None and binding is not None):
        raise click.UsageError("expected one of --challenge HEX and --binding HEX")
    try:
        raw = bytes.fromhex(given)
    except ValueError:
        raise click.UsageError(f"got {given!r}, expected hex digits in pairs") from None
    if not 1 <= len(raw) <= 128:
        raise click.UsageError(f"got {len(raw)} bytes, expected 1 to 128 (Android's limit)")
    return hashlib.sha256(raw).digest() if challenge and platform is Platform.IOS else raw


def evidence_file(found: dict[str, Any]) -> bytes:
    """Return evidence as verifiers take it from a file."""
    if "attestation" in found:
        return base64url.decode(found["attestation"])
    if "token" in found:
        token: str = found["token"]
        return token.encode("ascii")
    chain = (ssl.DER_cert_to_PEM_cert(base64url.decode(der)) for der in found["chain"])
    return "".join(chain).encode()
