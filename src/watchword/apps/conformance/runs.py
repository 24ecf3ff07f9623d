"""Put a run together: corpus, deployment, target."""

from collections.abc import Callable, Sequence
from pathlib import Path

from watchword.adapters.clock import SystemClock
from watchword.adapters.entropy import SystemEntropy
from watchword.apps.conformance.capabilities import NOTHING_DECLARED, Capabilities
from watchword.apps.conformance.corpus import Case, load_corpus
from watchword.apps.conformance.deployment import Deployment, load, new_key
from watchword.apps.conformance.requests import Workshop
from watchword.apps.conformance.runner import Row, Runner
from watchword.apps.conformance.sender import Target


def workshop(deployment: Deployment) -> Workshop:
    """Return what builds the requests of one run."""
    entropy = SystemEntropy()
    return Workshop(
        corpus=load_corpus(),
        deployment=deployment,
        entropy=entropy,
        run=entropy.token_bytes(6).hex(),
        foreign=new_key(),
        own_key=new_key(),
        other_key=new_key(),
    )


def runner(
    directory: Path,
    target: str,
    upstream: str,
    capabilities: Capabilities = NOTHING_DECLARED,
) -> Runner:
    """Return a runner against a gate that loaded the deployment in ``directory``.

    :param target: ``http://host:port`` of the gate; ``upstream`` of the API behind it.
    :raises ValueError: on an address of another form.
    """
    return Runner(
        load_corpus(),
        workshop(load(directory)),
        Target.of(target),
        Target.of(upstream),
        SystemClock(),
        capabilities,
    )


async def run(
    directory: Path,
    target: str,
    upstream: str,
    capabilities: Capabilities = NOTHING_DECLARED,
    *,
    cases: Sequence[Case] | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> list[Row]:
    """Run the corpus, or some cases of it."""
    chosen = load_corpus().cases if cases is None else cases
    return await runner(directory, target, upstream, capabilities).run(chosen, progress)
