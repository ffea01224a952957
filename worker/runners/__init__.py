"""What performs an execution: a python function in the pool child, or a command under its shim."""
