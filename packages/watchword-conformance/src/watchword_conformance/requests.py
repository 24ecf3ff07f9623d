"""Turn a case's recipes into the bytes of its requests: tokens, proofs and base64, wrong ones too.

Shares no code with what verifies them.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP384R1,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384

from watchword.encoding import base64url
from watchword.encoding.length_prefixed import join
from watchword.ports import Entropy
from watchword.tokens.jose import SigningKey, jwk_from_public_key, thumbprint
from watchword.tokens.proofs.interface import MAX_NONCE_CHARACTERS, MIN_NONCE_CHARACTERS
from watchword_conformance.corpus import (
    Body,
    Case,
    Corpus,
    Mutation,
    ProofRecipe,
    Request,
    TokenRecipe,
)
from watchword_conformance.deployment import ACTIVE_EPOCH, Deployment

_URL_SAFE = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_STANDARD = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


def encode_mutated(data: bytes, *, url_safe: bool, bend: Mutation | None = None) -> str:
    """Return base64, url-safe without padding or standard with it, mutated in one way.

    :raises ValueError: where the mutation would change nothing, so that no case tests nothing.
    """
    if bend == "cut":
        data = data[:-1]
    elif bend == "flip":
        data = data[:-1] + bytes([data[-1] ^ 1])
    elif bend == "empty":
        return ""
    text = base64.urlsafe_b64encode(data).decode() if url_safe else base64.b64encode(data).decode()
    if url_safe:
        text = text.rstrip("=")
    mutated = _respell(text, bend, url_safe=url_safe)
    if bend is not None and bend not in {"cut", "flip"} and mutated == text:
        raise ValueError(f"{bend} changes nothing of {len(data)} bytes")
    return mutated


def _respell(text: str, bend: Mutation | None, *, url_safe: bool) -> str:
    """Return another text for the same bytes."""
    if bend == "pad":
        return text + "=" * (-len(text) % 4 or 4)
    if bend == "unpad":
        return text.rstrip("=")
    if bend == "blank":
        return f"{text[:10]} {text[10:]}"
    if bend == "line-break":
        return f"{text[:10]}\r\n {text[10:]}"
    if bend == "other-alphabet":
        # Sure to differ, which a translation alone isn't.
        other = "+/" if url_safe else "-_"
        letters = _URL_SAFE if url_safe else _STANDARD
        at = next((n for n, sign in enumerate(text) if sign in letters[62:]), None)
        return (
            text if at is None else text[:at] + other[letters.index(text[at]) - 62] + text[at + 1 :]
        )
    if bend == "spare-bits":
        letters = _URL_SAFE if url_safe else _STANDARD
        body = text.rstrip("=")
        if len(body) % 4 == 0:
            return text
        return body[:-1] + letters[letters.index(body[-1]) | 1] + text[len(body) :]
    return text


LIFETIME_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Instance:
    """Hold one pretended installation of the app, fresh for each case so that no limit is shared."""

    subject: str
    session_id: str
    key: SigningKey


@dataclass(frozen=True, slots=True)
class Signed:
    """Hold a token as it is sent, and what proofs of it are made from.

    :param text: the compact JWS alone, without what is wrapped around it.
    """

    text: str
    value: str
    claims: Mapping[str, Any]
    holder: Instance


def make_token(
    recipe: TokenRecipe,
    instances: Mapping[str, Instance],
    corpus: Corpus,
    deployment: Deployment,
    foreign: SigningKey,
    now: float,
    token_id: str,
) -> Signed:
    """Return the token that a recipe describes."""
    holder = instances[recipe.holder]
    claims: dict[str, Any] = {
        "iss": corpus.issuer,
        "aud": corpus.audience,
        "sub": holder.subject,
        "iat": int(now) - 2,
        "exp": int(now) - 2 + LIFETIME_SECONDS,
        "jti": token_id,
        "env": "lab",
        "app": {"id": corpus.app, "ver": "2.1.0"},
        "lvl": "hardware",
        "cnf": {"jwk": jwk_from_public_key(holder.key.public)},
        "sid": holder.session_id,
        "epo": ACTIVE_EPOCH,
    }
    claims.update(recipe.claims)
    claims.update({name: int(now) + offset for name, offset in recipe.times.items()})
    for name in recipe.without:
        del claims[name]
    keys = {**deployment.keys, "foreign": foreign}
    signer = keys[recipe.key]
    header: dict[str, Any] = {
        "alg": recipe.signature if recipe.signature in {"none", "HS256", "ES384"} else "ES256",
        "kid": keys[recipe.kid or recipe.key].kid,
        "typ": "watchword+jwt",
    }
    header.update(recipe.header)
    for name in recipe.without_header:
        del header[name]
    payload = _json(claims)
    if recipe.append:
        payload = payload[:-1] + recipe.append.encode("latin-1") + b"}"
    bend = recipe.bend
    signing_input = (
        encode_mutated(_json(header), url_safe=True, bend=bend.get("header"))
        + "."
        + encode_mutated(payload, url_safe=True, bend=bend.get("payload"))
    )
    signature = _sign(recipe, signing_input.encode("latin-1"), signer)
    text = f"{signing_input}.{encode_mutated(signature, url_safe=True, bend=bend.get('signature'))}"
    return Signed(text, recipe.wrap.replace("{token}", text), claims, holder)


def _json(members: Mapping[str, Any]) -> bytes:
    return json.dumps(members, separators=(",", ":")).encode()


def _sign(recipe: TokenRecipe, message: bytes, signer: SigningKey) -> bytes:
    """Return the signature in the way that the recipe asks for."""
    if recipe.signature == "none":
        return b""
    if recipe.signature == "HS256":
        # The old trick: a public key taken for the secret of an HMAC.
        public = json.dumps(jwk_from_public_key(signer.public), separators=(",", ":")).encode()
        return hmac.digest(public, message, hashlib.sha256)
    if recipe.signature == "ES384":
        r, s = decode_dss_signature(
            generate_private_key(SECP384R1()).sign(message, ECDSA(SHA384()))
        )
        return r.to_bytes(48) + s.to_bytes(48)
    if recipe.signature == "DER":
        return signer.private.sign(message, ECDSA(SHA256()))
    if recipe.signature == "zero":
        return bytes(64)  # CVE-2022-21449: r = s = 0 held for every message.
    return signer.sign(message)


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
    signature = encode_mutated(made, url_safe=False, bend=recipe.bend)
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
        "ath": encode_mutated(
            hashlib.sha256(covering.token.encode("latin-1")).digest(), url_safe=True
        ),
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
    signing_input = ".".join(encode_mutated(part, url_safe=True) for part in parts)
    signature = b"" if header["alg"] == "none" else key.sign(signing_input.encode())
    return f"{signing_input}.{encode_mutated(signature, url_safe=True, bend=recipe.bend)}"


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


LABEL_HEADER = "X-Conformance-Case"
"""The field by which the API behind the gate tells requests apart."""

_PROOF_FIELDS = ("content-digest", "signature-input", "signature", "dpop")


@dataclass(frozen=True, slots=True)
class Built:
    """Hold one request ready to be sent.

    :param label: by which the API behind the gate knows it.
    :param inner: label of a request that is hidden in it and must never arrive.
    :param body: what the API must see of the body.
    :param token: None where none is sent.
    """

    label: str
    wire: bytes
    method: str
    target: str
    body: bytes
    token: Signed | None
    half_close: bool
    carried: Mapping[str, list[str]] = field(repr=False)

    @property
    def inner(self) -> str:
        """Return the label of what is hidden in it."""
        return f"{self.label}.hidden"


@dataclass(frozen=True, slots=True)
class Workshop:
    """Build the requests of cases, with fresh instances for each.

    :param run: names the run, so that several can share one API.
    :param affinity: the gate's nonce in front of the client's, empty where none is asked for.
    """

    corpus: Corpus
    deployment: Deployment
    entropy: Entropy
    run: str
    foreign: SigningKey
    own_key: SigningKey
    other_key: SigningKey
    affinity: str = ""

    def instances(self) -> dict[str, Instance]:
        """Return two installations that nobody met before."""
        return {
            name: Instance(f"conformance-{self.fresh()}", self.fresh(), key)
            for name, key in (("own", self.own_key), ("other", self.other_key))
        }

    def fresh(self) -> str:
        """Return 22 characters that nobody guesses."""
        return base64url.encode(self.entropy.token_bytes(16))

    def build(
        self,
        case: Case,
        index: int,
        instances: Mapping[str, Instance],
        earlier: list[Built],
        now: float,
    ) -> Built:
        """Return one request of a case.

        :param earlier: the requests of the case before it.
        """
        recipe = case.requests[index]
        label = f"{self.run}.{case.id}.{index}"
        body = recipe.body
        content = _content(body)
        token = (
            None
            if recipe.token is None
            else make_token(
                recipe.token,
                instances,
                self.corpus,
                self.deployment,
                self.foreign,
                now,
                self.fresh(),
            )
        )
        carried: Mapping[str, list[str]]
        if recipe.again is None:
            carried = self._carried(recipe, token, instances, content, now)
        else:
            carried, token = earlier[recipe.again].carried, earlier[recipe.again].token
        built = Built(
            label=label,
            wire=b"",
            method=recipe.method,
            target=recipe.target,
            body=content,
            token=token,
            half_close=body is not None and body.half_close,
            carried=carried,
        )
        wire = self._raw(recipe, built) if recipe.raw is not None else self._wire(recipe, built)
        return replace(built, wire=wire)

    def _carried(
        self,
        recipe: Request,
        token: Signed | None,
        instances: Mapping[str, Instance],
        content: bytes,
        now: float,
    ) -> dict[str, list[str]]:
        """Return the fields of token, proof and digest, by lower-case name."""
        fields: dict[str, list[str]] = {}
        if token is not None:
            fields["watchword-token"] = [token.value]
        body = recipe.body
        digests: list[str] = []
        if body is not None and (body.digests is not None or recipe.proof is not None):
            wanted = body.digests if body.digests is not None else ["sha-256=:{sha-256}:"]
            digests = [_digest(text, content) for text in wanted]
        if digests:
            fields["content-digest"] = digests
        if recipe.proof is not None:
            bearer = token or self._token_of("own", instances, now)
            proof = self._proof(recipe, recipe.proof, bearer, instances, digests, now)
            fields.update({name: [value] for name, value in proof.items()})
        return fields

    def _token_of(self, holder: str, instances: Mapping[str, Instance], now: float) -> Signed:
        """Return a token that isn't sent, for a proof to be made from."""
        genuine = TokenRecipe.model_validate({"holder": holder})
        return make_token(
            genuine, instances, self.corpus, self.deployment, self.foreign, now, self.fresh()
        )

    def _proof(
        self,
        recipe: Request,
        proof: ProofRecipe,
        token: Signed,
        instances: Mapping[str, Instance],
        digests: list[str],
        now: float,
    ) -> dict[str, str]:
        path, _, query = recipe.target.partition("?")
        over = proof.over
        covered = token if over.token == "own" else self._token_of("other", instances, now)  # noqa: S105
        host = recipe.host[0].replace("{host}", self.corpus.host) if recipe.host else ""
        covering = Covering(
            token=covered.value,
            method=recipe.method if over.method is None else over.method,
            authority=host.lower() if over.authority is None else over.authority,
            path=path if over.path is None else over.path,
            query=query if over.query is None else over.query,
            digest=over.digest
            if over.digest is not None
            else (", ".join(digests) if digests else None),
        )
        created = int(now) + proof.created
        own = self.fresh()
        if proof.kind == "dpop":
            nonce = proof.nonce if proof.nonce is not None else own
            return {"dpop": dpop_field(proof, covering, instances, created, nonce, self.affinity)}
        nonce = self._nonce(own if proof.nonce is None else proof.nonce)
        return signature_fields(proof, covering, token, instances, self.deployment, created, nonce)

    def _nonce(self, own: str) -> str:
        """Return a nonce behind the gate's, where the gate asks for it and the form allows it."""
        if MIN_NONCE_CHARACTERS <= len(own) <= MAX_NONCE_CHARACTERS:
            return (self.affinity + own)[:MAX_NONCE_CHARACTERS]
        return own

    def _wire(self, recipe: Request, built: Built) -> bytes:
        """Return head and body."""
        fields = [
            ("host", "Host", host.replace("{host}", self.corpus.host)) for host in recipe.host
        ]
        fields.append(("x-conformance-case", LABEL_HEADER, built.label))
        fields += [
            (name, "-".join(part.capitalize() for part in name.split("-")), value)
            for name in ("watchword-token", *_PROOF_FIELDS)
            for value in built.carried.get(name, [])
        ]
        body = recipe.body
        if body is not None:
            if body.framing in {"length", "both"}:
                length = len(built.body) if body.announced is None else body.announced
                fields.append(("content-length", "Content-Length", str(length)))
            if body.framing in {"chunked", "both"}:
                fields.append(("transfer-encoding", "Transfer-Encoding", "chunked"))
        lines = [f"{recipe.method} {recipe.target} {recipe.version}"]
        for name, shown, value in fields:
            if name in recipe.drop:
                continue
            line = f"{recipe.rename.get(name, shown)}: {value}"
            lines += [line, line] if name in recipe.double else [line]
        lines += [f"{name}: {self._fill(value, built)}" for name, value in recipe.headers]
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
        if body is None:
            return head
        after = self._fill(body.after, built).encode("latin-1")
        trailers = "".join(
            f"{name}: {self._fill(value, built)}\r\n" for name, value in body.trailers
        )
        return head + _framed(built.body, body, trailers.encode("latin-1")) + after

    def _raw(self, recipe: Request, built: Built) -> bytes:
        assert recipe.raw is not None
        return self._fill(recipe.raw, built).encode("latin-1")

    def _fill(self, text: str, built: Built) -> str:
        token = "" if built.token is None else built.token.value
        values = {
            "label": built.label,
            "hidden": built.inner,
            "host": self.corpus.host,
            "token": token,
            **{name: ", ".join(built.carried.get(name, [])) for name in _PROOF_FIELDS},
        }
        for name, value in values.items():
            text = text.replace(f"{{{name}}}", value)
        return text


def _content(body: Body | None) -> bytes:
    if body is None:
        return b""
    return b"x" * body.fill if body.fill else body.text.encode("latin-1")


def _framed(content: bytes, body: Body, trailers: bytes) -> bytes:
    if body.framing not in {"chunked", "both"}:
        return content
    # Two chunks, so that a gate must put them together.
    half = (len(content) + 1) // 2
    chunks = [piece for piece in (content[:half], content[half:]) if piece]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in chunks) + (
        b"0\r\n" + trailers + b"\r\n"
    )


def _digest(text: str, content: bytes) -> str:
    for name, made in (
        ("sha-256", hashlib.sha256(content)),
        ("sha-512", hashlib.sha512(content)),
    ):
        text = text.replace(f"{{{name}}}", base64.b64encode(made.digest()).decode())
    return text
