"""Learned quality: classifiers and language models that score documents, and what is kept by their scores."""
