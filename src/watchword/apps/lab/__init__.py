"""Use simulated phones on the command line."""
