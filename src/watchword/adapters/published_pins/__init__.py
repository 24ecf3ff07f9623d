"""Follow a workspace's published sets and root lists, never back to an older one."""

from watchword.adapters.published_pins.publication import PinPublication

__all__ = ["PinPublication"]
