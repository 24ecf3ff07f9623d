"""Test what a keeper remembers and tells."""

from dataclasses import replace

from tests.unit.pins.builders import HOST, NOW, builtin, entry, pin_set, pins, spki

from watchword.client.pinning import PinKeeper, Seen
from watchword.client.pinning.installation import MAX_REMEMBERED
from watchword.pins.installed import DAY, fresh
from watchword.pins.interface import AfterExpiry, PinMode, PinSet


class Watch:
    """Be a clock."""

    now = float(NOW)

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def keeping(held: PinSet | None, **changes: object) -> tuple[PinKeeper, Watch]:
    """Return a keeper and its clock."""
    watch = Watch()
    return PinKeeper(fresh(builtin(held, **changes)), clock=watch), watch  # type: ignore[arg-type]


def test_secrets_are_withheld_where_no_chain_could_help() -> None:
    """After the hard expiry, before any connection; not while pins live, and not from hosts without pins."""
    keeper, watch = keeping(pin_set())
    assert not keeper.withholds(HOST)
    watch.now = NOW + 90 * DAY
    assert keeper.withholds(HOST)
    assert keeper.withholds(f"{HOST.upper()}.")
    assert not keeper.withholds("elsewhere.example")


def test_secrets_are_withheld_after_a_mismatch_until_a_match() -> None:
    """The last connection to a host counts; one by other pins doesn't."""
    keeper, _ = keeping(pin_set())
    keeper.judge(HOST, (spki("M"),))
    assert keeper.withholds(HOST)
    keeper.judge(HOST, (spki("A"),))
    assert not keeper.withholds(HOST)
    keeper.judge(HOST, (spki("M"),))
    keeper.replace(fresh(builtin(pin_set(2))))
    assert not keeper.withholds(HOST)


def test_authorities_of_the_build_withhold_as_well() -> None:
    """They keep an app working, and secrets at home."""
    keeper, watch = keeping(pin_set(), authorities={HOST: frozenset({spki("root")})})
    watch.now = NOW + 90 * DAY
    assert keeper.withholds(HOST)
    assert keeper.judge(HOST, (spki("M"), spki("root"))).passes


def test_closed_hosts_withhold() -> None:
    """Nothing passes there."""
    keeper, watch = keeping(pin_set(1, entry(held=pins(), after_expiry=AfterExpiry.CLOSED)))
    watch.now = NOW + 90 * DAY
    assert keeper.withholds(HOST)


def test_a_generation_ends_with_new_pins_and_with_old_age() -> None:
    """Open connections are judged anew then; the same pins once more change nothing."""
    keeper, watch = keeping(pin_set())
    first = keeper.generation
    keeper.replace(replace(keeper.installed))
    assert keeper.generation == first
    watch.now = NOW + 90 * DAY
    second = keeper.generation
    watch.now = NOW
    keeper.replace(fresh(builtin(pin_set(2))))
    assert len({first, second, keeper.generation}) == 3


def test_what_is_remembered_is_bounded() -> None:
    """An app that talks to all the world remembers its last hosts."""
    keeper, _ = keeping(pin_set())
    for index in range(2 * MAX_REMEMBERED):
        keeper.judge(f"h{index}.example", ())
    assert keeper.last("h0.example") is None
    assert keeper.last(f"h{2 * MAX_REMEMBERED - 1}.example") is not None


def test_a_host_is_pinned_or_not() -> None:
    """By its own entry, also when that has expired; nothing is before the first set."""
    keeper, watch = keeping(pin_set())
    assert keeper.is_pinned(HOST)
    assert not keeper.is_pinned("elsewhere.example")
    watch.now = NOW + 90 * DAY
    assert keeper.is_pinned(HOST)
    assert not keeping(None)[0].is_pinned(HOST)


def test_cleartext_is_told_in_report_mode_and_refused_once_it_is_enforced() -> None:
    """Report mode refuses nothing, so that an app that still says http isn't cut off by its first set."""
    seen: list[Seen] = []
    reported = pin_set(1, replace(entry(), mode=PinMode.REPORT))
    watch = Watch()
    keeper = PinKeeper(fresh(builtin(reported)), clock=watch, notify=seen.append)
    assert not keeper.refuses_cleartext(HOST)
    assert [(each.host, each.chain, each.judgement.mismatch) for each in seen] == [(HOST, (), True)]
    assert not keeper.refuses_cleartext("elsewhere.example")
    keeper.replace(fresh(builtin(pin_set(2))))
    assert keeper.refuses_cleartext(HOST)
    watch.now = NOW + 90 * DAY
    assert keeper.refuses_cleartext(HOST)
    assert len(seen) == 1
