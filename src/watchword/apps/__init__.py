"""Put the parts together: command line, service, proxy, settings."""
