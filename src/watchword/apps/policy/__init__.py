"""Try appraisal policies out: on cases that a person wrote, and on verifications that were recorded."""
