"""Hold one file for each appraisal rule; list it in ``policy/registry.py``."""
