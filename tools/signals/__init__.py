"""Scores the starter strategies on recorded candles and writes the table of docs/signals.md."""
