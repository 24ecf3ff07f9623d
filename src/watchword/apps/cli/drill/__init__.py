"""Hold the subcommands of ``watchword drill``."""
