"""Set up what every test shares."""

from hypothesis import HealthCheck, settings

# How fast a machine is says nothing about the code: a loaded one must not fail a property.
settings.register_profile("watchword", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("watchword")
