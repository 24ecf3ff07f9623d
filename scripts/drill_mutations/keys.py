"""Remove what keeps keys with the calls and instances that they are for, and limits with an instance."""

from scripts.drill_mutations.mutation import Mutation, Place


def _keys(check: str, file: str, before: str, after: str, *red: str) -> Mutation:
    return Mutation(check, file, before, after, red, Place.KEYS)


MUTATIONS = (
    _keys(
        "injected keys: the path is listed",
        "gate/injection.py",
        "if not any(each.matches(method, segments) for each in self.table):",
        "if False:",
        "lent-path-unlisted",
    ),
    _keys(
        "injected keys: only listed headers go to the third party",
        "gate/injection.py",
        'named = FORWARDED_FIELDS | {name.encode("ascii") for name in rule.headers}',
        'named = FORWARDED_FIELDS | {b"cookie"}',
        "lent-key-replaced",
    ),
    _keys(
        "injected keys: the placeholder stands in one field",
        "gate/injection.py",
        "if len(held) != 1 or held[0][0] != name:",
        "if not held:",
        "lent-key-replaced",
    ),
    _keys(
        "injected keys: the answer is searched for the key",
        "apps/gateway/proxy/injection.py",
        "if self._forms.are_in(data):",
        "if False:",
        "lent-key-on-the-wire",
    ),
    _keys(
        "injected keys: what is held back of an answer doesn't depend on what it says",
        "apps/gateway/proxy/injection.py",
        "at = 0 if self._whole else self._settled()",
        # The tail of a piece waits where it begins the key, and there alone.
        "at = next((i for i in range(max(0, len(self._kept) - self._overlap), len(self._kept))"
        " if any(form.startswith(bytes(self._kept[i:])) for form in self._forms.texts)), len(self._kept))",
        "injected-key-oracle",
    ),
    _keys(
        "injected keys: the quota of an instance",
        "adapters/usage/host.py",
        "if found.spent is not None:",
        "if False:",
        "lent-quota",
    ),
    _keys(
        "canaries: they are looked for",
        "gate/service.py",
        "canary = None if watch is None else spot(watch, cleaned.fields, query)",
        "canary = None",
        "canary-used",
    ),
    _keys(
        "delivery: the app",
        "enrolment/delivery.py",
        "if app.id not in rule.apps:",
        "if False:",
        "delivery-not-entitled",
    ),
    _keys(
        "delivery: the level",
        "enrolment/delivery.py",
        "if not level.satisfies(needed):",
        "if False:",
        "delivery-not-entitled",
    ),
    _keys(
        "delivery: the seal key that enrolled",
        "enrolment/statement.py",
        "if dict(statement.seal_jwk) != dict(instance.seal_jwk):",
        "if False:",
        "delivery-on-the-wire",
    ),
    _keys(
        "limits: a request over one is refused",
        "gate/limits.py",
        "if first.counter.take(subject, now):",
        "if first.counter.take(subject, now) and False:",
        "limit-with-instance",
    ),
)
