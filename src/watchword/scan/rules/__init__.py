"""Hold the rules, one file each; ``watchword.scan.registry`` finds them."""
