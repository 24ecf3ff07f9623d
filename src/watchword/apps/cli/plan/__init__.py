"""Hold the subcommands of ``watchword plan``, one file each."""
