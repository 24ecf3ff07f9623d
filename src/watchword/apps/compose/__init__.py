"""Make the parts of a deployment from its settings: nothing else constructs adapters."""
