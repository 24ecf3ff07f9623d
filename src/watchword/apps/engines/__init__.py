"""Keep an Envoy of this machine up to date: write its files, see that it took them, run it."""
