"""Enrol and renew instances: statement, challenge, evidence, verdict, tokens."""
