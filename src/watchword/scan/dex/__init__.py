"""Read Dalvik executables: bytes in, answers of the protocol ``Code`` out."""
