"""Carry out every I/O: one folder for each port."""
