"""Keep by what planted canary keys are recognised."""

from watchword.adapters.canary_file.file import CanaryFile, PlantedCanary

__all__ = ["CanaryFile", "PlantedCanary"]
