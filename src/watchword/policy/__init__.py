"""Appraise claims: rules give a verdict with a level and its reasons."""
