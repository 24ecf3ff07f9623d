"""Find secrets in an app: names rebuilt, keywords first, then patterns, then structure; nobody is ever asked."""
