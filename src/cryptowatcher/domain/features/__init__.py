"""What rules look at: a number for each pair, computed from its observations."""
