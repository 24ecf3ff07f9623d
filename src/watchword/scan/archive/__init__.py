"""Read zip archives as installers do, twice, and tell where the two readings differ.  Pure: bytes in."""
