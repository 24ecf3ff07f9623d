"""Read the access logs of engines, one file an engine, so that their refusals can be explained."""

from watchword.apps.engines.logs.interface import EngineLog, LogLineError
from watchword.apps.engines.logs.registry import ENGINE_LOGS, engine_of

__all__ = ["ENGINE_LOGS", "EngineLog", "LogLineError", "engine_of"]
