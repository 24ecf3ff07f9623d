"""Show pages in the browser: one frame, one kit of templates and styles, for whatever has a page."""
