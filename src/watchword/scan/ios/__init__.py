"""Read what an iOS app says of itself: property lists, signature, privacy manifest.  Pure: bytes come from an archive."""
