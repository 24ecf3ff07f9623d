"""Write a page of what a change of each setting does, from the table that the service goes by."""

from collections.abc import Iterator, Mapping
from typing import Final

from watchword.apps.settings import changes
from watchword.apps.settings.changes import SETTINGS, Setting, When, Widens

INTRODUCTION: Final = """\
# What a change of a setting does

`watchword config apply` goes by this table ([live configuration](../live-configuration.md)). `*` stands for a name or a position in a list. A setting that isn't
in the table needs a restart, and counts as widening.

- **live**: the running service and its gates take it over within two seconds.
- **restart**: it waits for the next start of `watchword up`.
- **commands**: only commands read it, from the file as it stands.

**Widens** says when a change needs `--widen --because TEXT`.

| setting | in force | widens |
| --- | --- | --- |
"""

WORDS: Final[Mapping[Widens, str]] = {
    changes.never: "never",
    changes.always: "with any change",
    changes.added: "when it is added",
    changes.removed: "when it is removed",
    changes.more: "when it names more",
    changes.fewer: "when it names fewer",
    changes.more_by_name: "when it names more",
    changes.higher: "when it is higher, or left out",
    changes.longer: "when it is longer, added or left out",
    changes.lower: "when it is lower, or left out",
    changes.older: "when it is lower, or left out",
    changes.older_by_app: "when one is lower, or left out",
    changes.turned_on: "when it is turned on",
    changes.told_apart: "when it becomes `sensitive`",
    changes.weaker_level: "when it is lower",
    changes.weaker_proof: "when it is weaker: `device`, `session`, `bearer`",
    changes.weaker_mode: "when it is weaker: `enforce`, `canary`, `monitor`, `off`",
    changes.changed_or_removed: "when it says something else, or is removed",
    changes.faster: "when it lets more pass, at once or in the long run, or is left out",
    changes.more_from_address: "when it lets more enrol, at once or in the long run",
    changes.more_of_app: "when it lets more enrol, at once or in the long run",
    changes.looser_policy: "unless each level keeps all its rules, and at most gains some",
}
"""By how a change is judged: the words for it."""

_ROUTES: Final = "apis.*.routes.*"
_OF_ROUTES: Final = (
    "a new row: unless its requests belonged to rows that ask for no more than it. A removed row: when another row asks for less. "
    "Another order: always"
)


def page() -> str:
    """Return the page, made by ``python -m scripts.site_reference``."""
    return INTRODUCTION + "\n".join(_rows()) + "\n"


def _rows() -> Iterator[str]:
    for place, setting in SETTINGS.items():
        yield f"| `{place}` | {setting.when.value} | {_widens(place, setting)} |"


def _widens(place: str, setting: Setting) -> str:
    if place == _ROUTES:
        return _OF_ROUTES
    return "-" if setting.when is When.COMMANDS else WORDS[setting.widens]
