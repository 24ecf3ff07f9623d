"""Read the access logs of engines, so that their refusals can be explained."""
