"""Remove one check of gate or verifier at a time, and see which attacks of the drill turn red."""
