"""Hold the subcommands of ``watchword scan``, and what carries it out."""
