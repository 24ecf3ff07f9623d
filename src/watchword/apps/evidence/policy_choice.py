"""Find the policy that a person names at the command line."""

from pathlib import Path

from watchword.apps.settings.document import read_document
from watchword.apps.settings.faults import ConfigurationError
from watchword.apps.settings.policy import read_policy
from watchword.policy.interface import Policy
from watchword.policy.registry import PRESETS


def load_policy(text: str) -> Policy:
    """Return a ready-made policy by its name, or the one that a file holds.

    :param text: ``strict``, ``balanced`` or ``inclusive``; else a file with the form of ``policy:``, or a
        ``watchword.yaml`` with that section.
    :raises ConfigurationError: when the file can't be read or holds no policy.
    """
    if text in PRESETS:
        return PRESETS[text]
    file = Path(text)
    document = read_document(file)
    data = document.data
    path: tuple[str, ...] = ()
    if isinstance(data, dict) and "policy" in data:
        data, path = data["policy"], ("policy",)
    elif isinstance(data, dict) and "version" in data:
        data = None  # A whole file without the section means the default.
    policy, found = read_policy(data, path)
    faults = [*document.faults, *document.located(found)]
    if policy is None or faults:
        raise ConfigurationError(file, faults)
    return policy
