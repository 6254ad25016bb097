"""Keys and pseudonyms: the only code that ever holds a citizen's number."""
