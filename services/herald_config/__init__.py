"""Validates the configuration folder and compiles the snapshot that every other part reads."""
