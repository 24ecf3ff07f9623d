"""Turn a case's recipes into the bytes of its requests."""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from watchword.apps.conformance.corpus import Body, Case, Corpus, ProofRecipe, Request, TokenRecipe
from watchword.apps.conformance.deployment import Deployment
from watchword.apps.conformance.forged_proofs import Covering, dpop_field, signature_fields
from watchword.apps.conformance.forged_tokens import Instance, Signed, make_token
from watchword.encoding import base64url
from watchword.ports import Entropy
from watchword.tokens.es256 import SigningKey
from watchword.tokens.proofs.interface import MAX_NONCE_CHARACTERS, MIN_NONCE_CHARACTERS

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
