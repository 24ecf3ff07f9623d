"""Write, sign and read observations: which of them are vouched for, and which are claims."""
