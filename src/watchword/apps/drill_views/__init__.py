"""Show a drill: live in a terminal, as JSON, JUnit and SARIF, as a page; and say whether it failed."""
