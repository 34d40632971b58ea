"""Duplicates of whole documents: signing, clusters, which one is kept, evidence."""
