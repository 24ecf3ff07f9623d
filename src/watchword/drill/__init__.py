"""Attack one's own deployment: what is sent, what must happen, and what that proves.  Pure: the wire is a port."""
