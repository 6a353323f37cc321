"""Files and folders transcribed from the command line."""
