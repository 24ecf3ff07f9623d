"""Hold the subcommands of ``watchword audit``, one file each."""
