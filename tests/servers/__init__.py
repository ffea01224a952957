"""Real servers for tests: each starts on a socket or port of its own and leaves nothing behind."""
