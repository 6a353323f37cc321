"""Texts spoken, and voices listed, from the command line."""
