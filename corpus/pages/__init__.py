"""Web pages to documents."""
