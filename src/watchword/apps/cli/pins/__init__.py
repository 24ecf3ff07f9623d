"""Hold the subcommands of ``watchword pins``."""
