"""Conditions, their compiled form, and the engine that steps them."""
