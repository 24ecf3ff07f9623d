"""Hold every enforcement point of the gate to one corpus, and Watchword's parsers to published hostile suites."""
