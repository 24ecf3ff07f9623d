"""Read and write the second version of the gate bundle: a signed snapshot, and signed deltas that each build on the line before.

A chain is lines.  The first is a snapshot: a compact JWS (RFC 7515), a space, and the digests of revoked instances, whose hash
the JWS signs.  Each further one is a delta: a compact JWS that names the hash of the line before it.  So no line can be left
out, doubled, moved or taken from another API without a gate seeing it, and a revocation costs its own few hundred bytes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from hmac import compare_digest
from typing import Any, Final, NoReturn

from watchword.encoding import base64url, strict_json
from watchword.encoding.phrases import other_format
from watchword.gate.bundle import (
    STATE_MEMBERS,
    GateBundle,
    GateBundleError,
    a_list,
    a_number,
    a_text,
    an_object,
    some_bytes,
    state_from_json,
    state_to_json,
)
from watchword.gate.cuts import BUCKETS, MOST_CUTS, Cut
from watchword.gate.decisions import CompiledPolicy
from watchword.gate.openings import MOST_OPENINGS, OPENED, Opening
from watchword.gate.revocations import (
    DIGEST_BYTES,
    DIGEST_KEY_BYTES,
    Digests,
    PackedDigests,
    pack,
    unpack,
)
from watchword.gate.trail import HASH_BYTES, AuditHead, ToldHead, contradicts
from watchword.ports import Signer, VerificationKey
from watchword.reasons import RefusedError
from watchword.tokens import jose
from watchword.tokens.jose import is_signed_by
from watchword.vocabulary import Level, Mode

SNAPSHOT_TYPE: Final = "watchword-gate-snapshot+jwt"
DELTA_TYPE: Final = "watchword-gate-delta+jwt"
"""What a line is; neither passes for the other, nor for a bundle of the first version."""

VERSION: Final = 2

MOST_REVOKED: Final = 4_000_000
"""Most instances that a chain lists; beyond that a service cuts all tokens of before instead."""

MAX_DELTA_BYTES: Final = 2 * 1024 * 1024
"""Most bytes of a JWS in a chain."""

MOST_ADDED: Final = 90_000
"""Most instances that a delta adds, which leaves room for policy, keys and secrets; for more a snapshot is due."""

MAX_LINE_BYTES: Final = MAX_DELTA_BYTES + 1 + MOST_REVOKED * DIGEST_BYTES * 4 // 3 + 4
"""Most bytes of a line."""

MOST_DELTAS: Final = 4096
"""Most deltas behind a snapshot."""

MAX_CHAIN_BYTES: Final = 2 * MAX_LINE_BYTES
"""Most bytes of a whole chain."""

MOST_LINES: Final = 4 * MOST_DELTAS
"""Most lines that are looked at: of two who write one file, each may append what the other has."""

_COMMON: Final = frozenset(
    {"v", "api", "generation", "made_at", "cuts", "openings", "audit", "may_ignore"}
)
_SNAPSHOT: Final = _COMMON | {"state", "digest_key", "revoked"}
_DELTA: Final = _COMMON | {"base", "set", "add"}


class ChainError(GateBundleError):
    """Report a line that can't be used; what stood before it stays, and the text quotes no secret."""


def tip_of(line: bytes) -> str:
    """Return the hash that a delta behind this line names: of the JWS, which signs the hash of what stands behind it."""
    end = line.find(b" ")
    return base64url.encode(sha256(line if end < 0 else line[:end]).digest())


def is_snapshot(line: bytes) -> bool:
    """Tell whether a line claims to be a snapshot: it alone has two words."""
    return b" " in line


def joined(lines: Sequence[bytes]) -> bytes:
    """Return lines as they stand in a file and are sent: each with its end."""
    # The empty one behind them ends the last one without another copy of all of it.
    return b"\n".join((*lines, b""))


def lines_of(data: bytes) -> list[bytes]:
    """Return the lines in ``data``, without the end of the last one; beyond :data:`MOST_LINES` all the rest is one."""
    # Millions of empty lines would take more memory than any chain.
    return data.split(b"\n", MOST_LINES)


def snapshot_to_line(bundle: GateBundle, digest_key: bytes, packed: bytes, signer: Signer) -> bytes:
    """Return a snapshot, signed, of digests that :func:`watchword.gate.revocations.pack` returned.

    See :func:`snapshot_to_parts` for the rest.
    """
    return b"".join(snapshot_to_parts(bundle, digest_key, PackedDigests.of(packed), signer))


def snapshot_to_parts(
    bundle: GateBundle, digest_key: bytes, packed: PackedDigests, signer: Signer
) -> tuple[bytes, ...]:
    """Return a snapshot, signed, in parts that stand behind one another: the first of them tells its tip.

    :param bundle: its own list of revoked instances isn't looked at.
    :param digest_key: 12 fresh random bytes.
    :param packed: who is revoked.
    :raises ChainError: when gates wouldn't take it.
    """
    if packed.count > MOST_REVOKED:
        _refuse(f"got {packed.count} revoked instances, expected at most {MOST_REVOKED}")
    members = {
        **_head(bundle),
        "state": state_to_json(bundle),
        "digest_key": base64url.encode(digest_key),
        "revoked": {"count": packed.count, "sha256": base64url.encode(packed.sha256)},
        "cuts": _cuts_to_json(bundle.cuts),
        "openings": _openings_to_json(bundle.openings),
    }
    jws = _signed(members, SNAPSHOT_TYPE, bundle.policy.api, signer)
    return (jws, b" ", *packed.text)


def delta_to_line(
    before: GateBundle, after: GateBundle, base: str, added: Sequence[int], signer: Signer
) -> bytes:
    """Return what makes ``after`` of ``before``, signed; members that are equal aren't repeated.

    :param after: with its own ``generation``.
    :param base: the tip of the line before.
    :param added: digests of instances that weren't listed, under the snapshot's key.
    :raises ChainError: when gates wouldn't take it.
    """
    if len(added) > MOST_ADDED:
        _refuse(f"got {len(added)} instances to add, expected at most {MOST_ADDED}")
    was, now = state_to_json(before), state_to_json(after)
    members = {
        **_head(after),
        "base": base,
        "set": {name: value for name, value in now.items() if was[name] != value},
        "add": base64url.encode(pack(added)),
        "cuts": None if after.cuts == before.cuts else _cuts_to_json(after.cuts),
        "openings": None
        if after.openings == before.openings
        else _openings_to_json(after.openings),
    }
    return _signed(members, DELTA_TYPE, after.policy.api, signer)


def _head(bundle: GateBundle) -> dict[str, Any]:
    audit = bundle.audit
    return {
        "v": VERSION,
        "api": bundle.policy.api,
        "generation": bundle.generation,
        "made_at": bundle.made_at,
        "audit": None if audit is None else {"size": audit.size, "head": audit.head},
        "may_ignore": [],
    }


def _signed(members: Mapping[str, Any], typ: str, api: str, signer: Signer) -> bytes:
    jws = jose.assemble(strict_json.dumps(members), typ, signer).encode("ascii")
    if len(jws) > MAX_DELTA_BYTES:
        _refuse(f"got {len(jws)} bytes for the gate of {api}, expected at most {MAX_DELTA_BYTES}")
    return jws


def _cuts_to_json(cuts: Sequence[Cut]) -> list[dict[str, Any]]:
    if len(cuts) > MOST_CUTS:
        _refuse(f"got {len(cuts)} cuts, expected at most {MOST_CUTS}")
    return [
        {
            "app": each.app,
            "level": None if each.level is None else each.level.value,
            "before": each.before,
            "share": each.share,
        }
        for each in cuts
    ]


def _openings_to_json(openings: Sequence[Opening]) -> list[dict[str, Any]]:
    if len(openings) > MOST_OPENINGS:
        _refuse(f"got {len(openings)} openings, expected at most {MOST_OPENINGS}")
    return [
        {"route": each.route, "mode": each.mode.value, "until": each.until} for each in openings
    ]


def read_snapshot(line: bytes, key: VerificationKey) -> GateBundle:
    """Return what a snapshot says, once it was found to be signed by ``key``.

    :raises ChainError: with what is wrong.
    """
    if len(line) > MAX_LINE_BYTES:
        _refuse(f"got {len(line)} bytes, expected at most {MAX_LINE_BYTES}")
    jws, separator, behind = line.partition(b" ")
    if not separator:
        _refuse("expected a snapshot: a JWS, a space and digests")
    try:
        members = _members(jws, SNAPSHOT_TYPE, key, _SNAPSHOT)
        listed = an_object(members["revoked"], {"count", "sha256"}, "revoked")
        count = a_number(listed["count"], "count", 0)
        if count > MOST_REVOKED:
            _refuse(f"got {count} revoked instances, expected at most {MOST_REVOKED}")
        packed = base64url.decode(behind.decode("latin-1"), MAX_LINE_BYTES)
        signed = some_bytes(listed["sha256"], HASH_BYTES, "sha256")
        if len(packed) != count * DIGEST_BYTES or not compare_digest(
            sha256(packed).digest(), signed
        ):
            _refuse("the digests aren't those that were signed")
        state = _state(members["state"], members["may_ignore"])
        if len(state) != len(STATE_MEMBERS):
            _refuse(f"expected state with {', '.join(sorted(STATE_MEMBERS))}")
        digest_key = some_bytes(members["digest_key"], DIGEST_KEY_BYTES, "digest_key")
        bundle = GateBundle(
            generation=a_number(members["generation"], "generation", 1),
            made_at=a_number(members["made_at"], "made_at", 1),
            revoked=frozenset(),
            **state,
            digests=Digests(digest_key, unpack(packed)),
            audit=_audit(members["audit"]),
            cuts=_cuts(members["cuts"]),
            openings=_openings(members["openings"]),
        )
        _require_sound(bundle, members["api"])
    except (RefusedError, ValueError) as error:
        raise ChainError(f"the gate's snapshot can't be used: {error}") from None
    return bundle


def read_delta(line: bytes, key: VerificationKey, before: GateBundle, tip: str) -> GateBundle:
    """Return what holds after a delta, once it was found to be signed by ``key`` and to build on the line before.

    Who is revoked is added to the same :class:`Digests`, after all else was found to be in order.

    :param before: as :func:`read_snapshot` or this function returned it.
    :param tip: of the line before (:func:`tip_of`).
    :raises ChainError: with what is wrong; ``before`` still holds.
    """
    if len(line) > MAX_DELTA_BYTES:
        _refuse(f"got {len(line)} bytes, expected at most {MAX_DELTA_BYTES}")
    digests = before.digests
    if digests is None:
        _refuse("expected a snapshot before it")
    try:
        members = _members(line, DELTA_TYPE, key, _DELTA)
        if members["base"] != tip:
            _refuse("it doesn't build on what this gate has: a line before it is missing")
        added = unpack(base64url.decode(_text(members["add"], "add"), MAX_DELTA_BYTES))
        if len(added) > MOST_ADDED or len(digests) + len(added) > MOST_REVOKED + MOST_ADDED:
            _refuse(f"got {len(added)} instances on top of {len(digests)}, more than there is room")
        state = _state(members["set"], members["may_ignore"])
        cuts, openings = members["cuts"], members["openings"]
        after = replace(
            before,
            generation=a_number(members["generation"], "generation", before.generation + 1),
            made_at=a_number(members["made_at"], "made_at", 1),
            audit=_audit(members["audit"]) or before.audit,
            cuts=before.cuts if cuts is None else _cuts(cuts),
            openings=before.openings if openings is None else _openings(openings),
            **state,
        )
        if after.policy == before.policy:
            # The same object: whoever compiled it needs not do so again.
            after = replace(after, policy=before.policy)
        _require_sound(after, members["api"], known=before)
    except (RefusedError, ValueError) as error:
        raise ChainError(f"a change of the gate's state can't be used: {error}") from None
    digests.add(added)
    return after


def _members(
    jws: bytes, typ: str, key: VerificationKey, names: frozenset[str]
) -> Mapping[str, Any]:
    """Return the payload's members, signed by ``key``; only what the service calls ignorable may be unknown."""
    read = jose.parse(jws.decode("latin-1"), typ, MAX_DELTA_BYTES)
    if read.kid != key.kid:
        _refuse(f"it is signed by another key than {key.kid}, the one that was agreed on")
    if not is_signed_by(key.key, read.signature, read.signing_input):
        _refuse(f"its signature isn't one by the key {key.kid}")
    members = strict_json.loads(read.payload, MAX_DELTA_BYTES)
    if type(version := members.get("v")) is int and version > VERSION:
        _refuse(other_format(version, VERSION))
    if members.get("v") != VERSION or not names <= members.keys():
        _refuse(f"expected {', '.join(sorted(names))}, with v {VERSION}")
    _require_known(members.keys() - names, members["may_ignore"])
    return members


def _require_known(unknown: set[str] | frozenset[str], may_ignore: Any) -> None:
    """Refuse members that this version doesn't know: each may be a condition that it wouldn't keep."""
    ignorable = {a_text(each, "each of may_ignore") for each in a_list(may_ignore, "may_ignore")}
    if critical := unknown - ignorable:
        _refuse(f"got {', '.join(sorted(critical))[:200]}, which this version doesn't know")


def _state(value: Any, may_ignore: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        _refuse("expected the gate's state as an object")
    _require_known(value.keys() - STATE_MEMBERS, may_ignore)
    return state_from_json({name: each for name, each in value.items() if name in STATE_MEMBERS})


def _audit(value: Any) -> AuditHead | None:
    if value is None:
        return None
    members = an_object(value, {"size", "head"}, "audit")
    some_bytes(members["head"], HASH_BYTES, "head")
    return AuditHead(a_number(members["size"], "size", 0), members["head"])


def _cuts(value: Any) -> tuple[Cut, ...]:
    cuts = tuple(_cut(each) for each in a_list(value, "cuts"))
    if len(cuts) > MOST_CUTS:
        _refuse(f"got {len(cuts)} cuts, expected at most {MOST_CUTS}")
    return cuts


def _cut(value: Any) -> Cut:
    members = an_object(value, {"app", "level", "before", "share"}, "each cut")
    app, level = members["app"], members["level"]
    share = a_number(members["share"], "share", 1)
    if share > BUCKETS:
        _refuse(f"got share {share}, expected at most {BUCKETS}")
    return Cut(
        None if app is None else a_text(app, "app"),
        None if level is None else Level(level),
        a_number(members["before"], "before", 1),
        share,
    )


def _openings(value: Any) -> tuple[Opening, ...]:
    openings = tuple(_opening(each) for each in a_list(value, "openings"))
    if len(openings) > MOST_OPENINGS:
        _refuse(f"got {len(openings)} openings, expected at most {MOST_OPENINGS}")
    if len({each.route for each in openings}) != len(openings):
        _refuse("got a route that is opened twice")
    return openings


def _opening(value: Any) -> Opening:
    members = an_object(value, {"route", "mode", "until"}, "each opening")
    mode = Mode(members["mode"])
    if mode not in OPENED:
        _refuse("expected an opening's mode as monitor or off")
    return Opening(a_text(members["route"], "route"), mode, a_number(members["until"], "until", 1))


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str):
        _refuse(f"expected {what} as text")
    return value


def _require_sound(bundle: GateBundle, api: Any, known: GateBundle | None = None) -> None:
    """Refuse what can't be decided by, or is another API's."""
    if bundle.policy.api != api or (known is not None and known.policy.api != api):
        _refuse("got the lines of two APIs in one chain")
    if known is None or bundle.policy is not known.policy:
        CompiledPolicy(bundle.generation, bundle.policy)


class ChainReader:
    """Take in a chain's lines as they come; what is wrong with one changes nothing of what stood before it.

    :ivar bundle: what holds now, None before the first snapshot.
    :ivar tip: the hash of the last line.
    :ivar seen: the hashes of all lines since the snapshot.
    :ivar told: the newest head of the service's audit trail that a line named.
    :ivar doubts: heads that contradict the one before them, until whoever tells of them takes them away.
    """

    def __init__(
        self,
        key: VerificationKey,
        api: str | None = None,
        least: int = 0,
        told: ToldHead | None = None,
    ) -> None:
        """Begin with nothing.

        :param key: by which each line must be signed.
        :param api: whose chain it must be; None takes what comes first.
        :param least: the lowest generation that is believed.
        :param told: the newest head of the audit trail that is known of before.
        """
        self.bundle: GateBundle | None = None
        self.tip: str | None = None
        self._key = key
        self._api = api
        self._least = least
        self.seen: set[str] = set()
        self.told = told
        self.doubts: list[tuple[ToldHead, ToldHead]] = []

    def take(self, lines: Sequence[bytes]) -> bool:
        """Take lines in; tell whether anything is new.

        A snapshot at their head begins a chain anew, which counts once it reaches further than ours.

        :raises ChainError: for the first line that can't be used; those before it count.
        """
        if not lines:
            return False
        if not is_snapshot(lines[0]):
            return self.extend(lines)
        other = ChainReader(self._key, self._api, told=self.told)
        trouble: ChainError | None = None
        try:
            other.begin(lines[0])
            other.extend(lines[1:])
        except ChainError as error:
            trouble = error
        changed = other.bundle is not None and self._adopt(other, other.bundle)
        if trouble is not None:
            raise trouble
        return changed

    def _adopt(self, other: "ChainReader", bundle: GateBundle) -> bool:
        ours = self.bundle
        if ours is not None and other.tip == self.tip:
            return False
        least = max(self._least, 0 if ours is None else ours.generation + 1)
        if bundle.generation < least:
            _refuse(f"got generation {bundle.generation}, expected {least} or more")
        if ours is not None and ours.policy == bundle.policy:
            bundle = replace(bundle, policy=ours.policy)
        self.bundle, self.tip, self.seen = bundle, other.tip, other.seen
        self.told = other.told
        self.doubts += other.doubts
        self._api = bundle.policy.api
        return True

    def begin(self, line: bytes) -> None:
        """Take a snapshot in place of whatever stood here; :meth:`take` holds it to what was known first.

        :raises ChainError: when it can't be used.
        """
        bundle = read_snapshot(line, self._key)
        if self._api not in {None, bundle.policy.api}:
            _refuse(f"got the chain of {bundle.policy.api}, expected that of {self._api}")
        self.bundle, self.tip = bundle, tip_of(line)
        self.seen = {self.tip}
        self._compare(bundle)

    def extend(self, lines: Sequence[bytes]) -> bool:
        """Take deltas in, those that were taken already aside; tell whether anything is new.

        :raises ChainError: for the first that can't be used; those before it count.
        """
        changed = False
        for line in lines:
            hashed = tip_of(line)
            if hashed in self.seen:
                continue
            if self.bundle is None or self.tip is None:
                _refuse("expected a snapshot first")
            if len(self.seen) > MOST_DELTAS:
                _refuse(f"got more than {MOST_DELTAS} changes behind one snapshot")
            after = read_delta(line, self._key, self.bundle, self.tip)
            self.bundle, self.tip, changed = after, hashed, True
            self.seen.add(hashed)
            self._compare(after)
        return changed

    def _compare(self, bundle: GateBundle) -> None:
        """Hold the audit trail's head to the one before; a head that was told of earlier says nothing new."""
        if bundle.audit is None:
            return
        head = ToldHead(bundle.generation, bundle.made_at, bundle.audit)
        if self.told is not None and head.generation <= self.told.generation:
            return
        if self.told is not None and contradicts(self.told, head):
            self.doubts.append((self.told, head))
        self.told = head


def _refuse(detail: str) -> NoReturn:
    raise ChainError(detail)
