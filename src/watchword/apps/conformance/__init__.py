"""Hold every mouth of the gate to one corpus: requests, and what must become of each."""
