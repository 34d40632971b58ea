"""Repeated spans of characters or words, taken out of documents."""
