"""Counts what the default rules would have said on recorded candles, and writes the tables of docs/defaults.md."""
