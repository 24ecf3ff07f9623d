"""Issue and verify tokens: the attestation result as a short-lived JWT."""
