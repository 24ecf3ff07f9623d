"""Read the configuration: the one reader of ``watchword.yaml``."""
