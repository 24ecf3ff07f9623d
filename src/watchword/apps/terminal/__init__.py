"""Speak with a person at a terminal: what every command uses."""
