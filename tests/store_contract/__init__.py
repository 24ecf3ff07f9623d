"""Hold every engine of the store to one suite: its tests stand here, and each engine runs them all."""
