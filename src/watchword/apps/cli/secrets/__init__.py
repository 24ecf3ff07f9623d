"""Hold the subcommands of ``watchword secrets``."""
