"""Work out the cases of the conformance corpus, one module for each area."""
