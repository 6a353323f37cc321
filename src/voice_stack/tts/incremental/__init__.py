"""Speech from a text that is still being written."""
