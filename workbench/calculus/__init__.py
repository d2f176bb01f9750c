"""The expression graph and its laws: rules, tidying, derivatives. No arrays, no text."""
