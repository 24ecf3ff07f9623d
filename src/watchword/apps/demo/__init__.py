"""Tell the whole story in one command, on real sockets, with simulated phones."""
