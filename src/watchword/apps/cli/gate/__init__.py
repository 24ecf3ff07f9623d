"""Hold the subcommands of ``watchword gate``, one file each."""
