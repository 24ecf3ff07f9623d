"""Manage pins through their life: signed sets of them, what an installed app makes of one, and what may be published."""
