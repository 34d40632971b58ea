"""Characters, words and languages."""
