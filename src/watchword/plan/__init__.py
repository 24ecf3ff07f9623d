"""Decide what to protect first: by impact, exact, explained, and by what is proven."""
