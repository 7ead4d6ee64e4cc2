"""The operations, each a struct with its function; grouped by what they change."""
