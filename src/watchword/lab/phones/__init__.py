"""Simulate phones: one file for each platform, every kind with one line in the registry."""
