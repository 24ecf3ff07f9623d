"""Hold what the configurations share whose engines ask ``/authz`` about every request."""
