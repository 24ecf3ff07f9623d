"""Turn the ``drill`` section as written into what a drill is set up from."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path

from watchword.apps.settings.consistency import Inconsistency
from watchword.apps.settings.validated import DrillRequest, DrillSettings
from watchword.apps.settings.written_drill import WrittenDrill


def drill_settings(base: Path, written: WrittenDrill) -> DrillSettings:
    """Return the settings of one API's drill.

    :param base: directory of the file.
    """

    def place(file: str | None) -> Path | None:
        return None if file is None else (base / file).resolve()

    return DrillSettings(
        target=written.target,
        service=written.service,
        upstream=written.upstream,
        headers=dict(written.headers),
        headers_file=place(written.headers_file),
        consent=place(written.consent),
        service_consent=place(written.service_consent),
        requests=tuple(
            DrillRequest(
                method=each.method,
                target=each.path,
                body=(each.body or "").encode(),
                content_type=each.content_type,
                echo=each.echo,
                login=each.login,
                good=frozenset(chain.from_iterable(map(_statuses, each.status))),
            )
            for each in written.requests
        ),
    )


def _statuses(written: int | str) -> Iterable[int]:
    """Return the codes that a code or a class such as ``2xx`` stands for."""
    if isinstance(written, int):
        return (written,)
    first = int(written[0]) * 100
    return range(first, first + 100)


def unknown_apis(
    written: Mapping[str, WrittenDrill], apis: Mapping[str, object]
) -> Iterator[Inconsistency]:
    """Yield each drill of an API that there isn't."""
    known = ", ".join(apis)
    for name in written:
        if name not in apis:
            yield ("drill", name), repr(name), f"an API of this file: {known}"
