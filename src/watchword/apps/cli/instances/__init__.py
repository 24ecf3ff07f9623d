"""Hold the subcommands of ``watchword instances``."""
