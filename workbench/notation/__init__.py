"""Text to and from the mathematics: the grammar of formulas and the renderers."""
