"""Hold the attacks, one file each; ``watchword.drill.registry`` lists them."""
