"""Keep the store in PostgreSQL, from 15 on: several nodes share it, and a standby takes over where a machine dies."""
