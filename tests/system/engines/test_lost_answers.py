"""Lose answers behind each engine's gate: a POST is carried out once, and the client says what it doesn't know."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.system.engines.envoy.test_authz_routes import running
from tests.system.engines.haproxy.rig import haproxy_before_api, take_proofs
from tests.system.engines.nginx.rig import nginx_before_api
from tests.unit.client.losses import LosingApi, sender, served
from tests.unit.client.simulators import IssuingService, KeyedPhone
from tests.unit.engines.envoy.rig import (
    SECRET,
    TOKEN_KEY,
    Fronted,
    bundle_of,
    claims,
    route,
)

from watchword.adapters.system import SystemClock
from watchword.client import OutcomeUnknownError, WatchwordClient
from watchword.encoding import base64url
from watchword.tokens.envelope import seal
from watchword.tokens.proofs.session import proof_keys
from watchword.tokens.service import issue
from watchword.vocabulary import Proof, ReplayMode

BUNDLE = bundle_of((route("/pay/**", proof=Proof.SESSION),))


@contextmanager
def haproxy(directory: Path) -> Iterator[Fronted]:
    """Run HAProxy, which knows that no proof was used before."""
    with haproxy_before_api(directory, BUNDLE) as rig:
        take_proofs(rig)
        yield rig


def nginx(directory: Path) -> AbstractContextManager[Fronted]:
    """Run nginx."""
    return nginx_before_api(directory, BUNDLE)


def envoy(directory: Path) -> AbstractContextManager[Fronted]:
    """Run Envoy beside `/authz`, at a device route whose proofs carry the gate's nonce."""
    sign = route("/pay/**", proof=Proof.DEVICE)
    return running(directory, bundle_of((sign,), replay=ReplayMode.AFFINE))


class EngineService(IssuingService):
    """Issue tokens that the engines' bundles verify."""

    def entry(self, raw: bytes, audience: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return one entry of ``tokens``."""
        held = claims(key=body["evidence"]["key"], session_id=f"session-of-lost-{self.issued}")
        key = proof_keys(held, SECRET).session_key
        assert key is not None
        seal_jwk = json.loads(raw)["seal_jwk"]
        sealed = seal(key, seal_jwk, hashlib.sha256(raw).digest(), held.session_id)
        return {
            "aud": audience,
            "token": issue(held, TOKEN_KEY),
            "expires_in": 300,
            "session_key": base64url.encode(sealed),
        }


@pytest.mark.parametrize("engine", [haproxy, nginx, envoy])
@pytest.mark.parametrize("repeats", [False, True], ids=["drops", "repeats"])
def test_a_lost_answer_is_never_a_401_behind_an_engine(
    tmp_path: Path, engine: Callable[[Path], AbstractContextManager[Fronted]], *, repeats: bool
) -> None:
    """GET and a POST with a key come through; a POST without one reaches the API once."""
    with engine(tmp_path) as rig:

        def gate(request: httpx.Request) -> httpx.Response:
            url = f"http://127.0.0.1:{rig.port}{request.url.raw_path.decode()}"
            with httpx.Client(trust_env=False) as http:
                return http.send(
                    httpx.Request(
                        request.method, url, headers=request.headers, content=request.content
                    )
                )

        audience = claims().audience
        client = WatchwordClient(
            "https://attest.example",
            "clinic",
            KeyedPhone(),
            [audience],
            clock=SystemClock().timestamp,
            jitter=lambda: 0.5,
            transport=httpx.MockTransport(EngineService(SystemClock().timestamp)),
        )
        api = LosingApi(gate, repeats=repeats)
        with served(api) as url:
            send = sender(client, url, asynchronous=False, audience=audience)
            assert send("GET", "/pay/1").status_code == 200
            api.lost = 1
            keyed = {"idempotency-key": "one-payment"}
            assert send("PUT", "/pay/2", headers=keyed).status_code == 200
            api.lost = 1
            with pytest.raises(OutcomeUnknownError):
                send("POST", "/pay/3", headers={"content-type": "text/plain"})
        reached = [seen.line for seen in rig.api.seen]
    assert reached.count(b"POST /pay/3 HTTP/1.1") == 1
    assert reached.count(b"GET /pay/1 HTTP/1.1") == 2
