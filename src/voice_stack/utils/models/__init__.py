"""Where models are found, put together and fetched to."""
