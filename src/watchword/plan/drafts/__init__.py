"""Draft assets and routes from descriptions that others made: an OpenAPI document, a threat model."""
