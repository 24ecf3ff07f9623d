"""Hold the key ring to the same behaviour in a file and in a sealed row."""
