"""One module for each layout in which a suite is published."""
