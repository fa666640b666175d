"""The same job for Isthmus and for others: `make bench` runs it and prints one table."""
