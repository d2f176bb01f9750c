"""The index level: entries, deltas, sums over indices, and their normal form."""
