"""Run a drill against a deployment: on this machine freely, elsewhere with its consent."""
