"""Write the configuration of a Caddy that asks ``/authz`` about every request."""
