"""Give unpredictable bytes: the one place that asks the system for them."""

from watchword.adapters.entropy.system import SystemEntropy

__all__ = ["SystemEntropy"]
