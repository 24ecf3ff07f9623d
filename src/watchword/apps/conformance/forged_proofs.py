"""Make proofs by recipe, wrong ones too; shares no code with what verifies them."""

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from watchword.apps.conformance.bending import encode
from watchword.apps.conformance.corpus import ProofRecipe
from watchword.apps.conformance.deployment import Deployment
from watchword.apps.conformance.forged_tokens import Instance, Signed
from watchword.encoding.length_prefixed import join
from watchword.tokens.es256 import SigningKey
from watchword.tokens.jwk import jwk_from_public_key, thumbprint

_INFO = b"watchword/session/v1"
_PARAMETERS = ';created={created};nonce="{nonce}";alg="{alg}";keyid="{keyid}"'


@dataclass(frozen=True, slots=True)
class Covering:
    """Hold what a signature covers, as text of ISO 8859-1.

    :param digest: value of Content-Digest, None where none is sent.
    """

    token: str
    method: str
    authority: str
    path: str
    query: str
    digest: str | None


def session_key(secret: bytes, claims: Mapping[str, Any], instance: Instance) -> bytes:
    """Return the session key of a token (protocol, section 5)."""
    parts = (
        claims["iss"],
        claims["aud"],
        claims.get("sid", ""),
        thumbprint(jwk_from_public_key(instance.key.public)),
    )
    info = join(*(str(part).encode() for part in parts))
    return hmac.digest(secret, _INFO + info + b"\x01", hashlib.sha256)


def signature_fields(
    recipe: ProofRecipe,
    covering: Covering,
    token: Signed,
    instances: Mapping[str, Instance],
    deployment: Deployment,
    created: int,
    nonce: str,
) -> dict[str, str]:
    """Return ``signature-input`` and ``signature`` of a proof of kind session or device."""
    components = recipe.components
    if components is None:
        names = ["watchword-token", "@method", "@authority", "@path", "@query"]
        if covering.digest is not None:
            names.append("content-digest")
        components = [f'"{name}"' for name in names]
    is_session = recipe.kind == "session"
    keyed = instances.get(recipe.keyid or "own", instances["own"])
    own_id = keyed.session_id if is_session else thumbprint(jwk_from_public_key(keyed.key.public))
    filled = _fill(
        recipe.parameters if recipe.parameters is not None else _PARAMETERS,
        created=str(created),
        nonce=nonce,
        alg=recipe.alg or ("hmac-sha256" if is_session else "ecdsa-p256-sha256"),
        keyid=own_id if recipe.keyid is None or recipe.keyid in instances else recipe.keyid,
    )
    signed_input = f"({recipe.separator.join(components)}){filled}"
    base = _signature_base(components, covering, signed_input).encode("latin-1")
    if is_session:
        holder = instances[recipe.key]
        claims = dict(token.claims)
        if recipe.key == "other":
            claims["sid"] = holder.session_id
        epoch = claims.get("epo") if recipe.epoch is None else recipe.epoch
        secret = deployment.secrets.get(epoch if isinstance(epoch, int) else -1, bytes(32))
        made = hmac.digest(session_key(secret, claims, holder), base, hashlib.sha256)
    else:
        made = instances[recipe.key].key.sign(base)
    signature = encode(made, url_safe=False, bend=recipe.bend)
    return {
        "signature-input": _fill(recipe.inputs, input=signed_input),
        "signature": _fill(recipe.signatures, signature=signature),
    }


def dpop_field(
    recipe: ProofRecipe,
    covering: Covering,
    instances: Mapping[str, Instance],
    created: int,
    nonce: str,
    affinity: str,
) -> str:
    """Return a DPoP proof (RFC 9449 section 4.2)."""
    key: SigningKey = instances[recipe.key].key
    claims: dict[str, Any] = {
        "htm": covering.method,
        "htu": f"http://{covering.authority}{covering.path}",
        "iat": created,
        "jti": nonce,
        "ath": encode(hashlib.sha256(covering.token.encode("latin-1")).digest(), url_safe=True),
    }
    if affinity:
        claims["nonce"] = affinity
    claims.update(recipe.claims)
    for name in recipe.without:
        del claims[name]
    header: dict[str, Any] = {
        "typ": "dpop+jwt",
        "alg": "ES256",
        "jwk": jwk_from_public_key(key.public),
        **recipe.header,
    }
    parts = [json.dumps(part, separators=(",", ":")).encode() for part in (header, claims)]
    signing_input = ".".join(encode(part, url_safe=True) for part in parts)
    signature = b"" if header["alg"] == "none" else key.sign(signing_input.encode())
    return f"{signing_input}.{encode(signature, url_safe=True, bend=recipe.bend)}"


def _signature_base(components: list[str], covering: Covering, signed_input: str) -> str:
    """Return the signature base over whatever components are named (RFC 9421 section 2.5)."""
    values = {
        "watchword-token": covering.token,
        "@method": covering.method,
        "@authority": covering.authority,
        "@path": covering.path,
        "@query": f"?{covering.query}",
        "@target-uri": f"http://{covering.authority}{covering.path}",
        "content-digest": covering.digest or "",
    }
    lines = []
    for component in components:
        name = component.partition(";")[0].strip('" ')
        lines.append(f"{component}: {values.get(name, '')}")
    lines.append(f'"@signature-params": {signed_input}')
    return "\n".join(lines)


def _fill(template: str, **values: str) -> str:
    for name, value in values.items():
        template = template.replace(f"{{{name}}}", value)
    return template
