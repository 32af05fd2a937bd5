"""The arrows of the drawing: collect, watch, notify, tidy."""
