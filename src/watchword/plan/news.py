"""Say in a line what a statement is worth, good or bad."""

from datetime import timedelta

from watchword.observations import Observation, State


def good_news(seen: Observation, observer: str) -> str:
    """Say why a statement counts."""
    if seen.review is not None and seen.state is State.REVIEWED:
        until = f"{seen.review.expires:%Y-%m-%d}"
        return f"{seen.review.reviewer} reviewed it, {observer} vouches for that until {until}."
    if seen.key.startswith("scan:static."):
        return f"{observer} saw it in the package."
    return f"{observer} saw it work."


def bad_news(seen: Observation, observer: str | None) -> str:
    """Say what a statement says against a protection; ``observer`` is None where nobody vouches for it."""
    who = observer or "Somebody"
    if seen.detail:
        return f"{who} found: {seen.detail.rstrip('.')}."
    if seen.state is State.ABSENT:
        return f"{who} looked for this protection and it isn't there."
    return f"{who} saw that this protection has no effect."


def days(span: timedelta) -> str:
    """Return a span in days; below two of them in hours."""
    hours = max(0, int(span.total_seconds())) // 3600
    return f"{hours} h" if hours < 48 else f"{hours // 24} days"
