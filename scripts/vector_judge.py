"""Count what a verifier makes of test vectors."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from watchword.reasons import RefusedError

JsonObject = dict[str, Any]


@dataclass
class Counts:
    """Hold three numbers of one set, and every case that went wrong."""

    name: str
    size: int
    rejected: int = 0
    accepted: int = 0
    outside: int = 0
    wrong: list[str] = field(default_factory=list)

    @property
    def adds_up(self) -> bool:
        """Tell whether every case of the set is in one of the numbers."""
        return self.rejected + self.accepted + self.outside + len(self.wrong) == self.size

    def judge(self, case: str, must: str, *attempts: Callable[[], bool]) -> None:
        """Count one case.

        :param must: ``accept``: at least one attempt says yes; ``reject``, ``outside``: none does.
        :param attempts: verify; a refusal or False is a no, any other exception is a find.
        """
        accepted = False
        for attempt in attempts:
            try:
                accepted = attempt() or accepted
            except RefusedError:
                continue
            except Exception as error:  # noqa: BLE001 - that is what is looked for.
                self.wrong.append(f"{case}: {type(error).__name__}")
                return
        if accepted != (must == "accept"):
            self.wrong.append(f"{case}: {'accepted' if accepted else 'refused'}")
        elif must == "accept":
            self.accepted += 1
        elif must == "reject":
            self.rejected += 1
        else:
            self.outside += 1
