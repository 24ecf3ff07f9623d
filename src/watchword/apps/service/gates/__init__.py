"""Hand bundles to the gates of other machines."""
