"""List the checks of pins, each with the edit that takes it out.

TLS is made by whatever stands before the API: nothing of ours can be taken out for the attacks on that.
"""

from scripts.drill_mutations.mutation import Mutation, Place

_SETS = "pins/sets.py"
_INSTALLED = "pins/installed.py"

_KNOWN = """\
    if key is None:
        raise RefusedError.because(
            Reason.PINS_SET_KEY, f"root list {roots.version} has no pin key {jws.kid!r}"
        )
"""
_UNKNOWN = """\
    if key is None:
        return _read(strict_json.loads(jws.payload, MAX_SET_BYTES), next(iter(roots.pin_keys)))
"""

MUTATIONS = (
    Mutation(
        check="pins: the signature of a set",
        file=_SETS,
        before="if not jose.is_signed_by(key.key, jws.signature, jws.signing_input):",
        after="if False:",
        red=("pins-forged",),
        place=Place.CHANNEL,
    ),
    Mutation(
        check="pins: the key of a set is known",
        file=_SETS,
        before=_KNOWN,
        after=_UNKNOWN,
        red=("pins-forged",),
        place=Place.CHANNEL,
    ),
    Mutation(
        check="pins: versions of sets only grow",
        file=_INSTALLED,
        before="    _check_newer(installed, pin_set)\n",
        after="",
        red=("pins-forged",),
        place=Place.CHANNEL,
    ),
    Mutation(
        check="pins: keys of the last root list sign the next",
        file="pins/roots.py",
        before='        _require(previous, signers, f"root list {previous.version}")\n',
        after="        pass\n",
        red=("pin-roots-forged",),
        place=Place.CHANNEL,
    ),
    Mutation(
        check="pins: how many root keys sign",
        file="pins/roots.py",
        before="    if count < by.threshold:",
        after="    if False:",
        red=("pin-roots-forged",),
        place=Place.CHANNEL,
    ),
    Mutation(
        check="pins: a key that isn't pinned matches nothing",
        file=_INSTALLED,
        before="            return True\n    return False",
        after="            return True\n    return True",
        red=("pins-intercepted", "pins-frozen"),
        place=Place.CHANNEL,
    ),
    Mutation(
        check="pins: enforcing means refusing",
        file=_INSTALLED,
        before="        passes=not enforced,",
        after="        passes=True,",
        red=("pins-intercepted", "pins-frozen"),
        place=Place.CHANNEL,
    ),
    Mutation(
        check="pins: a set enforces until its hard expiry",
        file=_INSTALLED,
        before="    if now < kept.hard_expiry:\n        return _judge_pins",
        after="    if now < kept.issued_at + DAY:\n        return _judge_pins",
        red=("pins-frozen",),
        place=Place.CHANNEL,
    ),
)
