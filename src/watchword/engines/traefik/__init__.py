"""Write the configuration of a Traefik that asks ``/authz`` about every request."""
