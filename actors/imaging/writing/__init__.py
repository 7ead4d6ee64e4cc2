"""One module for each format, with the function that writes it, and what these have in common."""
