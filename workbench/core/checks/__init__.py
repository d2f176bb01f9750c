"""Truths that do not come from a derivation: numbers, residues, many digits, counterexamples."""
