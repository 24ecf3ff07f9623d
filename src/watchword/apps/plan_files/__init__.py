"""Read and write the files of a plan: a catalogue of one's own, and what stands upstream."""
