"""Personal identifiers: where they stand in a text, and typed placeholders in their place."""
