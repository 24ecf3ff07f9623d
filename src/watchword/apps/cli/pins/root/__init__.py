"""Hold the subcommands of ``watchword pins root``."""
