"""Offer the commands that open a route for a while."""
