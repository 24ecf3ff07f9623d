"""Hold the instances: what an operator sees and does of them."""
