"""Tests of the broker itself, mostly over SQLite and PostgreSQL both."""
