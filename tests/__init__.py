"""The tests: they mirror the tree, and start every server they need."""
