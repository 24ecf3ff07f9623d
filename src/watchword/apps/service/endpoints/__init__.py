"""Answer the public requests: one file for each small group of endpoints."""
