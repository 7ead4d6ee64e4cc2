"""The API, described by route, in the types that requests become and answers are written from."""
