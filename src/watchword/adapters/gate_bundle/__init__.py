"""Carry gate bundles from the service to gates: as a file, and from one machine to another."""

from watchword.adapters.gate_bundle.file import GateBundleFile
from watchword.adapters.gate_bundle.signer_file import read_signer
from watchword.adapters.keyring.private_file import write_private as publish_bundle

__all__ = ["GateBundleFile", "publish_bundle", "read_signer"]
