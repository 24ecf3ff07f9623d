"""Hold the attacks, one file each; ``attacks.toml`` lists them."""
