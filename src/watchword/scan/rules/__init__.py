"""Hold the rules, one file each; ``watchword.scan.registry`` lists them."""
