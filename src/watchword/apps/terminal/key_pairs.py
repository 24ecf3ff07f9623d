"""Make a key pair for a command: the private half in a file of its own, the public one beside it."""

from collections.abc import Callable
from pathlib import Path

import click

from watchword.apps.terminal.console import print_json
from watchword.encoding import strict_json
from watchword.tokens.jose import SigningKey, jwk_from_public_key


def make_pair(
    output: Path, public: Path | None, write: Callable[[Path], SigningKey], *, as_json: bool
) -> Path | None:
    """Write both files, none of which may be there; return the public one's path, None where JSON told it all.

    :param public: the public half, ``output`` with the ending ``.jwk`` if None.
    :param write: makes the private key and writes it, mode 0600.
    :raises click.BadParameter: when a file is there already.
    :raises OSError: when the disk refuses.
    """
    public = public or output.with_suffix(".jwk")
    if public == output:
        raise click.BadParameter("expected another file than the private key's", param_hint="-o")
    if public.exists():
        raise click.BadParameter(f"{public} is there already, expected a new file")
    key = write(output)
    jwk = jwk_from_public_key(key.public)
    try:
        with public.open("xb") as file:
            file.write(strict_json.dumps(jwk) + b"\n")
    except OSError as error:
        # Half a pair is of no use, and would stand in the way of the next try.
        output.unlink(missing_ok=True)
        if not isinstance(error, FileExistsError):
            public.unlink(missing_ok=True)
        raise
    if as_json:
        print_json({"kid": key.kid, "private": str(output), "public": str(public), "jwk": jwk})
        return None
    return public
