"""Published hostile suites, run through the parsers and verifiers of Watchword."""
