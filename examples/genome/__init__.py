"""What the genome examples compute: reading FASTA, statistics, a k-mer index."""
