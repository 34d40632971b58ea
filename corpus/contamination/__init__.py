"""Benchmark questions in documents: found, removed, and named."""
