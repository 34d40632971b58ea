"""Near duplicates: sets of word n-grams, their signatures, verified pairs, stars."""
