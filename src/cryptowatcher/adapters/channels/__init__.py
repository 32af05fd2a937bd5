"""Where owners are reached."""
