"""Count refusals in memory and keep a sample of them."""
