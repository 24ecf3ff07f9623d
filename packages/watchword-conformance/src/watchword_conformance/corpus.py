"""Describe the conformance corpus: what each case sends, and what must become of it.

The corpus is data (``corpus.json``, with ``corpus.schema.json`` beside it), so that gates written by
others can be held to it.  Requests are recipes and no bytes, since time and keys differ in each run.
Text stands for bytes one to one (ISO 8859-1), so that NUL and other odd bytes can be written down.
"""

from collections.abc import Collection
from functools import cache
from importlib import resources
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from watchword.engines.interface import Divergence
from watchword.engines.registry import ENGINES

Mutation: TypeAlias = Literal[
    "pad", "spare-bits", "blank", "line-break", "other-alphabet", "cut", "flip", "empty", "unpad"
]
"""How a text of base64 is mutated: padding added or taken away, spare bits set, white space inside, the
other alphabet, the last byte cut off, one bit flipped, nothing left."""

Holder: TypeAlias = Literal["own", "other"]
"""Whose something is: the case's instance, or another one of the same app."""


class Described(BaseModel):
    """Refuse unknown members: a misspelt recipe would test something else than it says."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class TokenRecipe(Described):
    """Say how a token is made; what is left out is as a genuine one has it."""

    claims: Annotated[dict[str, Any], Field(description="members set in place of the genuine")] = {}
    times: Annotated[dict[str, int], Field(description="members set to now plus seconds")] = {}
    without: list[str] = []
    append: Annotated[str, Field(description="text put in front of the payload's last brace")] = ""
    header: dict[str, Any] = {}
    without_header: list[str] = []
    key: Annotated[
        Literal["active", "prepared", "retired", "foreign"],
        Field(description="the key that signs; foreign: one that the service never published"),
    ] = "active"
    kid: Annotated[
        Literal["active", "retired", "foreign"] | None,
        Field(description="the key that is named, where it isn't the one that signs"),
    ] = None
    signature: Literal["ES256", "none", "HS256", "ES384", "DER", "zero"] = "ES256"
    bend: dict[Literal["header", "payload", "signature"], Mutation] = {}
    wrap: Annotated[str, Field(description="how {token} stands in the header's value")] = "{token}"
    holder: Holder = "own"


class Covered(Described):
    """Say what is signed in place of what is sent; None leaves it as it is sent."""

    method: str | None = None
    authority: str | None = None
    path: str | None = None
    query: str | None = None
    digest: str | None = None
    token: Literal["own", "other"] = "own"  # noqa: S105 - whose token.


class ProofRecipe(Described):
    """Say how a proof is made; what is left out is as a genuine client does it."""

    kind: Literal["session", "device", "dpop"]
    over: Covered = Covered()
    components: Annotated[
        list[str] | None, Field(description="as they stand in Signature-Input, quotes included")
    ] = None
    parameters: Annotated[
        str | None,
        Field(description="what follows the components; {created} {nonce} {alg} {keyid} filled in"),
    ] = None
    separator: Annotated[str, Field(description="what stands between components")] = " "
    created: Annotated[int, Field(description="seconds from now")] = 0
    nonce: str | None = None
    alg: str | None = None
    keyid: Annotated[str | None, Field(description="own, other, or a text")] = None
    key: Holder = "own"
    epoch: Annotated[int | None, Field(description="whose gate secret the key comes from")] = None
    bend: Mutation | None = None
    inputs: Annotated[str, Field(description="value of Signature-Input, {input} filled in")] = (
        "watchword={input}"
    )
    signatures: Annotated[str, Field(description="value of Signature, {signature} filled in")] = (
        "watchword=:{signature}:"
    )
    claims: Annotated[dict[str, Any], Field(description="DPoP: members set")] = {}
    without: Annotated[list[str], Field(description="DPoP: members left out")] = []
    header: Annotated[dict[str, Any], Field(description="DPoP: header members set")] = {}


class Body(Described):
    """Say what follows the head."""

    text: str = ""
    fill: Annotated[int, Field(ge=0, le=4 * 1024 * 1024, description="bytes of x, no text")] = 0
    framing: Literal["length", "chunked", "both", "none"] = "length"
    announced: Annotated[int | None, Field(description="Content-Length, if it lies")] = None
    digests: Annotated[
        list[str] | None,
        Field(description="Content-Digest fields; {sha-256} and {sha-512} filled in; None: one"),
    ] = None
    trailers: Annotated[
        list[list[str]],
        Field(description="name and value, behind the last chunk; {hidden} filled in"),
    ] = []
    after: Annotated[str, Field(description="bytes sent behind the body")] = ""
    half_close: Annotated[bool, Field(description="end the sending side behind it")] = False


class Expected(Described):
    """Say what must become of a request.

    ``pass``: the API sees it exactly once, unchanged and cleaned, and nothing of its trailers.  ``refuse``: the API never sees it.
    ``contain``: either of the two, and nothing of what is hidden in it is taken for a request.
    """

    decision: Literal["pass", "refuse", "contain"]
    reason: Annotated[str | None, Field(description="where the gate shows its reasons")] = None
    statuses: Annotated[
        list[int],
        Field(description="of a refusal; 0: closed without an answer; empty: the class's"),
    ] = []
    results: Annotated[bool, Field(description="the three result headers, or none of them")] = True
    passes: Annotated[int, Field(ge=0, description="of all that are sent")] = 1
    unseen: Annotated[
        list[str],
        Field(description="fields that the API mustn't see, lower case, by any sign for -"),
    ] = []


class Request(Described):
    """Say how one request is made."""

    method: str = "GET"
    target: str
    version: str = "HTTP/1.1"
    host: Annotated[list[str], Field(description="one field each; {host} filled in")] = ["{host}"]
    token: TokenRecipe | None = TokenRecipe()
    proof: ProofRecipe | None = None
    body: Body | None = None
    headers: Annotated[list[list[str]], Field(description="fields added, name and value")] = []
    drop: Annotated[list[str], Field(description="fields left out, lower case")] = []
    double: Annotated[list[str], Field(description="fields sent twice, lower case")] = []
    rename: dict[str, str] = {}
    again: Annotated[
        int | None,
        Field(description="carry token, proof and digest of this earlier request of the case"),
    ] = None
    raw: Annotated[
        str | None,
        Field(description="the bytes; {label} {host} {token} filled in"),
    ] = None
    times: Annotated[int, Field(ge=1, le=100)] = 1
    parallel: bool = False
    expect: Expected


class Case(Described):
    """Hold one attack, or one thing that must work."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9-]+/[a-z0-9-]+$")]
    note: Annotated[str, Field(min_length=5, description="which attack, or what must work")]
    route: Annotated[str | None, Field(description="name of the row that it should meet")]
    needs: Annotated[
        list[str],
        Field(description="what a gate must offer for it; it may declare that it doesn't"),
    ] = []
    requests: Annotated[list[Request], Field(min_length=1, max_length=100)]

    @property
    def group(self) -> str:
        """Return what stands in front of the slash."""
        return self.id.partition("/")[0]


class CorpusRoute(Described):
    """Hold one row of the route table that the corpus is written for."""

    name: str
    pattern: str
    methods: list[str] = []
    level: Literal["hardware", "verified", "software"] = "software"
    proof: Literal["bearer", "session", "device"] = "bearer"
    mode: Literal["off", "monitor", "canary", "enforce"] = "enforce"
    dpop: bool = False
    max_body: int = 64 * 1024
    minimum_versions: dict[str, str] = {}


class Corpus(Described):
    """Hold the whole corpus.

    :ivar rate: most requests of one instance in an hour.
    """

    version: Literal[1] = 1
    host: str
    issuer: str
    audience: str
    app: str
    leeway: int
    rate: int
    routes: list[CorpusRoute]
    cases: list[Case]


@cache
def load_corpus() -> Corpus:
    """Return the corpus that the package ships."""
    text = resources.files(__package__ or "").joinpath("corpus.json").read_text("utf-8")
    return Corpus.model_validate_json(text)


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
    cases: Annotated[list[str], Field(description="these cases")] = []
    statuses: Annotated[
        list[int], Field(description="answer: with these it refuses in place of any other")
    ] = []
    why: Annotated[str, Field(description="empty where the engine's list says it")] = ""


class Capabilities(Described):
    """Describe one enforcement point of the gate.

    :ivar native: what the engine checks by itself; ``authz`` what it asks /authz for; ``refused``
        what no configuration is written for.
    :ivar replay: the replay modes that it may claim, with the store behind each.
    """

    engine: str
    title: str
    native: list[str]
    authz: list[str] = []
    refused: list[str] = []
    replay: list[str] = []
    differs: list[Difference] = []

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
            why = each.why
            if own is not None and not why:
                why = f"the gate {own.gate}. This engine {own.engine}. Why: {own.because}"
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
