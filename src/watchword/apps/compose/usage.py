"""Open the ledger in which the gates count what instances use of lent keys."""

from watchword.adapters.keyring.private_file import private_directory
from watchword.adapters.usage import HostUsageLedger
from watchword.apps.settings import ConfigurationError, Fault, Settings
from watchword.broker.interface import UsageLedger


def usage_ledger(settings: Settings) -> UsageLedger | None:
    """Return the ledger of a deployment, None where no key is lent; whoever asked closes it.

    :raises ConfigurationError: when the address of a Valkey can't be used.
    :raises PrivateFileError: when the gates' directory isn't private.
    :raises UnavailableError: ``secret.usage_unavailable`` when this machine's file can't be opened.
    """
    secrets = settings.secrets
    if secrets is None or not secrets.edges:
        return None
    if secrets.usage.url is None:
        # The first start opens it before anything else of the gates lies there.
        private_directory(settings.service.gates)
        return HostUsageLedger(settings.service.gates / "usage.sqlite")
    # Imported here alone: a gate without a Valkey needs no redis package.
    from watchword.adapters.usage.valkey import ValkeyUsageLedger  # noqa: PLC0415

    try:
        return ValkeyUsageLedger(secrets.usage.url, password=secrets.usage.password)
    except ValueError as error:
        fault = Fault("secrets.usage.url", None, str(error), "redis://host:6379")
        raise ConfigurationError(settings.path, [fault]) from None
