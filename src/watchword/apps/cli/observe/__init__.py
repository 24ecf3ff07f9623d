"""Hold the subcommands of ``watchword observe``."""
