"""Serve instances and operators: challenges, attestations, tokens, keys."""
