"""Show a plan: as JSON, in a terminal, in Markdown, as a report, as a bill of materials; and compare two."""
