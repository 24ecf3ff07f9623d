"""Write what a stock Envoy needs to make the decision of the gate."""
