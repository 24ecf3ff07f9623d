"""Decide on a request: one pure function for every engine."""
