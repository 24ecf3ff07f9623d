"""Choose which proof a request carries."""

from collections.abc import Callable
from dataclasses import dataclass

import httpx

from watchword.vocabulary import Proof

ProofChoice = Proof | str | Callable[[httpx.Request], Proof]
"""One proof for every request, or a function of the request, such as :class:`Proofs`."""


@dataclass(frozen=True, slots=True)
class Proofs:
    """Choose by the path, in the words of the routes in ``watchword.yaml``; the first list that fits.

    ::

        WatchwordAuth(client, audience, proof=Proofs(device=["/payments/**", "/login"]))

    :param device: patterns of paths that ask for the device's own key.  ``*`` is one segment, a last
        ``**`` is any rest (also none).
    :param session: patterns of paths that ask for a session proof.
    :param bearer: patterns of paths that are sent with the token alone.
    :param otherwise: for every other path.
    """

    device: tuple[str, ...] | list[str] = ()
    session: tuple[str, ...] | list[str] = ()
    bearer: tuple[str, ...] | list[str] = ()
    otherwise: Proof = Proof.SESSION

    def __post_init__(self) -> None:
        """Refuse a pattern that would never fit.

        :raises ValueError: if one doesn't begin with a slash, or has ``**`` before its end.
        """
        for pattern in (*self.device, *self.session, *self.bearer):
            if not pattern.startswith("/") or "**" in pattern.split("/")[:-1]:
                raise ValueError(
                    f"got the pattern {pattern!r}, expected a path such as /login or /payments/**"
                )

    def __call__(self, request: httpx.Request) -> Proof:
        """Return the proof for a request."""
        path = request.url.path
        for proof, patterns in (
            (Proof.DEVICE, self.device),
            (Proof.SESSION, self.session),
            (Proof.BEARER, self.bearer),
        ):
            if any(_fits(pattern, path) for pattern in patterns):
                return proof
        return self.otherwise


def chosen(choice: ProofChoice, request: httpx.Request) -> Proof:
    """Return the proof for a request.

    :raises ValueError: on a name that is no proof's.
    """
    return choice(request) if callable(choice) else Proof(choice)


def _fits(pattern: str, path: str) -> bool:
    wanted, got = pattern.split("/"), path.split("/")
    if wanted[-1] == "**":
        wanted.pop()
        got = got[: len(wanted)]
    return len(wanted) == len(got) and all(
        want in ("*", have) for want, have in zip(wanted, got, strict=True)
    )
