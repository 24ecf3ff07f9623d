"""Carry what gates must know from the service to the gates of one machine, as a file."""

from watchword.adapters.gate_state.document import GateStateDocument
from watchword.adapters.gate_state.file import GateStateFile, publish_gate_state

__all__ = ["GateStateDocument", "GateStateFile", "publish_gate_state"]
