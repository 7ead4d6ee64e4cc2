"""Renders in processes of their own, which can be stopped and can do no harm."""
