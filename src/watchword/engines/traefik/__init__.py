"""Write the configuration of a Traefik that asks ``/authz`` about every request.

Traefik isn't run by the tests.  What is written here follows its documentation (reference of ``forwardAuth``,
``headers`` and the file provider, v3) and the tests hold its structure alone.
"""
