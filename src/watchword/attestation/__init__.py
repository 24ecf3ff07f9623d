"""Verify evidence: what a device says, against what the vendor signed for."""
