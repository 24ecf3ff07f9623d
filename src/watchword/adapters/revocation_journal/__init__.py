"""Remember revocations beside the store: a copy that is put back in its place knows none of the later ones."""

from watchword.adapters.revocation_journal.file import JournalEntry, RevocationJournal

__all__ = ["JournalEntry", "RevocationJournal"]
