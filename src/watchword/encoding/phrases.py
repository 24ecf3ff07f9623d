"""Write counts as people read them."""


def counted(number: int, one: str, many: str | None = None) -> str:
    """Return a count with its noun: ``1 path``, ``2,412 paths``.

    :param many: the plural; ``one`` with an s if None.
    """
    return f"{number:,} {one if number == 1 else many or one + 's'}"
