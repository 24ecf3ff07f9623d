"""Read what an engine declares: what it checks, and where it differs from what the corpus asks."""

from collections.abc import Collection
from functools import cache
from importlib import resources
from typing import Annotated, Self

from pydantic import Field

from watchword.apps.conformance.corpus import Case, Described
from watchword.engines.interface import Divergence
from watchword.engines.registry import ENGINES


class Difference(Described):
    """Say in what an engine differs; what must be refused for token, level or proof never passes.

    ``stricter``: it may refuse these cases.  ``cleaned``: it may let them pass, once, with what is
    ambiguous taken out.  ``harmless``: it may let them pass, since only the service could have made them.
    ``answer``: it decides the same, and answers with another status or reason.  ``looser``: it lets pass what is
    stopped elsewhere for another cause than token, level or proof.
    """

    name: Annotated[
        str, Field(description="of the engine's own list, or its own here", min_length=1)
    ]
    kind: Divergence = Divergence.STRICTER
    needs: Annotated[str | None, Field(description="every case that needs this")] = None
    cases: Annotated[list[str], Field(description="these cases")] = []  # noqa: RUF012 - pydantic copies it.
    statuses: Annotated[
        list[int], Field(description="answer: with these it refuses in place of any other")
    ] = []  # noqa: RUF012 - pydantic copies it.
    why: Annotated[str, Field(description="empty where the engine's list says it")] = ""


class Capabilities(Described):
    """Describe one mouth of the gate.

    :ivar native: what the engine checks by itself; ``authz`` what it asks /authz for; ``refused``
        what no configuration is written for.
    :ivar replay: the replay modes that it may claim, with the store behind each.
    """

    engine: str
    title: str
    native: list[str]
    authz: list[str] = []  # noqa: RUF012 - pydantic copies it.
    refused: list[str] = []  # noqa: RUF012 - pydantic copies it.
    replay: list[str] = []  # noqa: RUF012 - pydantic copies it.
    differs: list[Difference] = []  # noqa: RUF012 - pydantic copies it.

    def declared(self, case: Case, without: Collection[str]) -> Difference | None:
        """Return in what the engine differs on a case, None if it may not.

        :param without: rows that this gate's table doesn't have.
        """
        if case.route in without:
            why = f"the row {case.route} isn't in this gate's table"
            return Difference(name="row", why=why)
        for difference in self.differs:
            if difference.needs in case.needs or case.id in difference.cases:
                return difference
        return None

    def answers(self) -> Difference | None:
        """Return with which statuses it refuses in place of any other, None if it doesn't."""
        return next((each for each in self.differs if each.statuses), None)

    def explained(self) -> Self:
        """Return it with the words of the engine's own list of differences.

        :raises ValueError: for one that neither says why nor stands in that list.
        """
        engine = ENGINES.get(self.engine)
        known = {each.name: each for each in (() if engine is None else engine.differences)}
        filled = []
        for each in self.differs:
            own = known.get(each.name)
            if own is not None and own.divergence is not each.kind:
                raise ValueError(f"{self.engine}: {each.name} is {own.divergence}, not {each.kind}")
            why = each.why or ("" if own is None else f"{own.engine}; {own.because}")
            if not why:
                raise ValueError(f"{self.engine}: {each.name} doesn't say why")
            filled.append(each.model_copy(update={"why": why}))
        return self.model_copy(update={"differs": filled})


NOTHING_DECLARED = Capabilities(engine="unnamed", title="unnamed", native=[])
"""What is held to every case."""


@cache
def load_capabilities() -> dict[str, Capabilities]:
    """Return what each known engine declares, by its name."""
    folder = resources.files(__package__ or "").joinpath("engines")
    read = [
        Capabilities.model_validate_json(file.read_text("utf-8")).explained()
        for file in sorted(folder.iterdir(), key=lambda each: each.name)
        if file.name.endswith(".json")
    ]
    return {each.engine: each for each in read}
