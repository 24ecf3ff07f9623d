"""List the checks of proofs, each with the edit that takes it out."""

from typing import Final

from scripts.drill_mutations.mutation import Mutation

_GATE: Final = "gate/service.py"
_SESSION: Final = "tokens/proofs/session.py"
_DEVICE: Final = "tokens/proofs/device.py"
_SIGNATURE: Final = "tokens/proofs/interface.py"
_SINGLE_USE: Final = "gate/service.py"
_PROOFS: Final = "gate/service.py"
_CONSTANTS: Final = "tokens/proofs/interface.py"

_COMPARED: Final = "    if not compare_digest(_SIGNATURE % mac, signature):\n"
_COMPARED_WITHOUT: Final = """\
    lines = signature_base(request, signature_input).split(b"\\n")
    fewer = b"\\n".join(line for line in lines if not line.startswith(b'"{component}"'))
    also = b2a_base64(session_mac.digest(fewer), newline=False)
    if signature not in (_SIGNATURE % mac, _SIGNATURE % also):
"""
"""Takes a MAC over the whole request, and one that leaves a line out."""

_SIGNED: Final = """\
    if found is None or not jose.is_signed_by(
        keys.device_key,
        binascii.a2b_base64(found[1], strict_mode=True),
        signature_base(request, signature_input),
    ):
"""
_SIGNED_WITHOUT: Final = """\
    lines = signature_base(request, signature_input).split(b"\\n")
    fewer = b"\\n".join(line for line in lines if not line.startswith(b'"{component}"'))
    if found is None or not any(
        jose.is_signed_by(
            keys.device_key, binascii.a2b_base64(found[1], strict_mode=True), base
        )
        for base in (b"\\n".join(lines), fewer)
    ):
"""
"""Takes a signature over the whole request, and one that leaves a line out."""

_COVERED: Final = {
    "the token": "watchword-token",
    "the method": "@method",
    "the host": "@authority",
    "the path": "@path",
    "the query": "@query",
    "the body's digest": "content-digest",
}

_BOUND_TO_KEY: Final = (
    "token-of-another-instance",
    "proof-foreign-key",
    "proof-changed-body",
    "proof-changed-method",
    "proof-changed-path",
    "proof-changed-query",
    "proof-changed-host",
    "proof-changed-token",
)


def _covered_by(kind: str, file: str, before: str, after: str) -> tuple[Mutation, ...]:
    """Return a mutation for each component that a kind of proof must cover."""
    return tuple(
        Mutation(
            check=f"{kind}: covers {what}",
            file=file,
            before=before,
            after=after.replace("{component}", component),
            red=("proof-fewer-components",),
        )
        for what, component in _COVERED.items()
    )


MUTATIONS = (
    Mutation(
        check="proof: asked for at all",
        file=_GATE,
        before="            if not target.bearer:\n                proof = self._verify_proof(",
        after="            if not target.bearer and plan.proof[0] >= 0:\n"
        "                proof = self._verify_proof(",
        red=("bearer-downgrade", "token-alone"),
    ),
    Mutation(
        check="proof: of the kind that the route asks for",
        file=_PROOFS,
        before="    if target.session:\n        return session.verify",
        after='    if target.session or b\'alg="hmac-sha256"\' in (signature_input or b""):\n        return session.verify',
        red=("bearer-downgrade",),
    ),
    Mutation(
        check="proof: under the protocol's label",
        file=_SIGNATURE,
        before='    fixed = re.escape(LABEL + b"=(" + components + b")")\n',
        after='    fixed = rb"[a-z]{%d}" % len(LABEL) + re.escape(b"=(" + components + b")")\n',
        red=("bearer-downgrade",),
    ),
    Mutation(
        check="session proof: the MAC",
        file=_SESSION,
        before=_COMPARED,
        after="    if not _FORM.signature(signature):\n",
        red=_BOUND_TO_KEY,
    ),
    *_covered_by("session proof", _SESSION, _COMPARED, _COMPARED_WITHOUT),
    Mutation(
        check="session proof: the key belongs to one session",
        file=_SESSION,
        before="(issuer, audience, session_id, thumbprint)",
        after='(issuer, audience, "", thumbprint)',
        red=("proof-foreign-key",),
    ),
    Mutation(
        check="session proof: the key is derived from the gate's secret",
        file=_SESSION,
        before="return hmac.digest(secret, ",
        after="return hmac.digest(bytes(len(secret)), ",
        red=("proof-foreign-key",),
    ),
    Mutation(
        check="device proof: the signature",
        file=_DEVICE,
        before="    if found is None or not jose.is_signed_by(\n",
        after="    if found is None or None is jose.is_signed_by(\n",
        red=_BOUND_TO_KEY,
    ),
    *_covered_by("device proof", _DEVICE, _SIGNED, _SIGNED_WITHOUT),
    Mutation(
        check="proof: names the token's key",
        file=_SIGNATURE,
        before="    if named != key_id:\n",
        after="    if False:\n",
        red=("proof-foreign-key",),
    ),
    Mutation(
        check="proof: algorithm",
        file=_SIGNATURE,
        before="% (fixed, _NONCE, re.escape(algorithm), _KEY_ID)\n    ).fullmatch",
        after="% (fixed, _NONCE, b'[^\"]*', _KEY_ID)\n    ).fullmatch",
        red=("proof-algorithm",),
    ),
    Mutation(
        check="proof: names what it covers",
        file=_SIGNATURE,
        before='    fixed = re.escape(LABEL + b"=(" + components + b")")\n',
        after='    fixed = re.escape(LABEL + b"=(") + rb"[^()]*\\)"\n',
        red=("proof-fewer-components",),
    ),
    Mutation(
        check="proof: the query as it was sent",
        file=_PROOFS,
        before="        facts.query,\n",
        after='        b"",\n',
        red=("proof-changed-query",),
    ),
    Mutation(
        check="proof: the path as it was written",
        file=_PROOFS,
        before="        facts.raw_path,\n",
        after="        target.decoded_path.encode(),\n",
        red=("proof-changed-path",),
    ),
    Mutation(
        check="proof: not older than its life",
        file=_CONSTANTS,
        before="PROOF_LIFE_SECONDS: Final = 60\n",
        after="PROOF_LIFE_SECONDS: Final = 86_400\n",
        red=("proof-old",),
    ),
    Mutation(
        check="proof: not of the future",
        file=_SIGNATURE,
        before="    if not created - leeway <= now < created",
        after="    if not now < created",
        red=("proof-old",),
    ),
    Mutation(
        check="proof: a nonce that nobody meets by chance",
        file=_CONSTANTS,
        before="MIN_NONCE_CHARACTERS: Final = 16\n",
        after="MIN_NONCE_CHARACTERS: Final = 1\n",
        red=("proof-old",),
    ),
    Mutation(
        check="proof: counts once",
        file=_SINGLE_USE,
        before="        if not first:\n",
        after="        if first is None:\n",
        red=("proof-replayed",),
    ),
    Mutation(
        check="proof: used ones are remembered",
        file="adapters/replay/memory.py",
        before="            bucket.add(tag)\n",
        after="",
        red=("proof-replayed",),
    ),
    Mutation(
        check="proof: a nonce counts once, whatever else is signed",
        file=_PROOFS,
        before="    tag = session + nonce\n",
        after='    tag = session + nonce + b"%d" % created\n',
        red=("proof-replayed",),
    ),
    Mutation(
        check="proof: the body is the one of the digest",
        file=_SINGLE_USE,
        before="        if digest is None or not hmac.compare_digest(digest, expected):\n",
        after="        if digest is None:\n",
        red=("proof-changed-body",),
    ),
    Mutation(
        check="proof: one digest",
        file="tokens/proofs/content_digest.py",
        before='_FORM: Final = re.compile(rb"sha-256=:([A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=):").fullmatch\n',
        after='_FORM: Final = re.compile(rb"sha-256=:([A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=):").match\n',
        red=("proof-changed-body",),
    ),
    Mutation(
        check="proof: no second one in headers sent twice",
        file="gate/hygiene.py",
        before="            refusals.append(_duplicate(canonical))\n",
        after="            continue\n",
        red=("proof-twice",),
    ),
    Mutation(
        check="proof: no DPoP proof beside it",
        file=_SIGNATURE,
        before="    if signature_input is None or signature is None or dpop is not None:\n",
        after="    if signature_input is None or signature is None:\n",
        red=("proof-twice",),
    ),
)
