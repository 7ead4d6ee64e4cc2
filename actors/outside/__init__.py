"""The way out: what clients name is checked and then asked, and it never leads inside."""
