"""FLAN-style templates over the rows of any table."""
