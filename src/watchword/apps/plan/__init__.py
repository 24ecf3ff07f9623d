"""Plan: read what it needs, ask for it, show it, and compare two."""
