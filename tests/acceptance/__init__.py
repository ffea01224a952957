"""Whole installations from outside, over REST; `--broker`, `--database` and `--workers` choose what they stand on."""
