"""Delivery: everything that knows HTTP, the environment or the command line."""
