"""Hold one file for each evidence format; register it in ``registry.py``."""
