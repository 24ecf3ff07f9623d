"""Read the description of an API, OpenAPI 3 or Swagger 2, as an attacker reads it."""
