"""A campaign of faults against a whole mesh that moves records, and the account of what became of them."""
