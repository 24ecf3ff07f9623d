"""Fuzz every parser that strangers' bytes reach: ``make fuzz SECONDS=600``."""
