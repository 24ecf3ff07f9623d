"""Keep API keys out of the app: who may have which secret, in which way, how often and for how long."""
