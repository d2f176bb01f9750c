"""The mathematics: expressions, rules and derivations. No arrays, no text parsing, no plugins."""
