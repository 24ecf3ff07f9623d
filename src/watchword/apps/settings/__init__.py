"""Read the configuration: the one reader of ``watchword.yaml`` and of the environment."""

from watchword.apps.settings.environment import debugging
from watchword.apps.settings.faults import ConfigurationError, Fault
from watchword.apps.settings.load import load_settings
from watchword.apps.settings.schema import Address, ApiSettings, Settings

__all__ = [
    "Address",
    "ApiSettings",
    "ConfigurationError",
    "Fault",
    "Settings",
    "debugging",
    "load_settings",
]
