"""Speech to text while somebody speaks."""
