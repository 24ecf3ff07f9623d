"""Operate on secrets."""
