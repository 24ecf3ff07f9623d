"""Operate on the store itself: its tables in PostgreSQL, and the move there."""
