"""Keep secrets and private keys in OpenBao (or Vault): its KV store of version 2, and its transit engine."""
