"""The HTTP face: API, live stream, health, metrics."""
