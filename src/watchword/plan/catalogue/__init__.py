"""Hold what attackers do and what protects against it, as data, and read it with a user's own."""
