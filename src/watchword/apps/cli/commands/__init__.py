"""Hold one file for each command; register it in ``cli/main.py``."""
