"""Instruction and conversation data."""
