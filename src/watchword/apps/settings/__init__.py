"""Read the configuration: the one reader of ``watchword.yaml``."""

from watchword.extras import needs

with needs("config"):
    from watchword.apps.settings.faults import ConfigurationError, Fault
    from watchword.apps.settings.load import load_settings
    from watchword.apps.settings.schema import Address, ApiSettings, Settings

__all__ = [
    "Address",
    "ApiSettings",
    "ConfigurationError",
    "Fault",
    "Settings",
    "load_settings",
]
