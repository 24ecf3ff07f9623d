"""Decide together: the plan as a workshop in the browser."""
