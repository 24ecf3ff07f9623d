"""Verify evidence offline: read what people have at hand, report, compare with what was recorded."""
