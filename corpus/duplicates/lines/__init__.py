"""Repeated lines and paragraphs, taken out of documents."""
