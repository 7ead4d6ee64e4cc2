"""What the Store does with each message."""
