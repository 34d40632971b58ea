"""Exact and near duplicates, with evidence."""
