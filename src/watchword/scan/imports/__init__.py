"""Read reports of other scanners; what they say is theirs, is told as such, and proves nothing here."""
