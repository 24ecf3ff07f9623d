"""Show what became of a lab phone's request."""

import click
import httpx

from watchword.apps.cli.lab_proof import sent_proof
from watchword.apps.terminal.console import print_json
from watchword.client import ServiceRefusedError, WatchwordClient
from watchword.reasons import Reason


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
