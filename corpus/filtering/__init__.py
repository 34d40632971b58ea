"""Signals, rules, edits and the ledger."""
