"""Job types on real data, to run, to read and to copy from."""
