"""Manage pins through their whole life: draft, check against what is live, rehearse, publish, rotate, watch."""
