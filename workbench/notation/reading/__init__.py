"""Text into mathematics: tokens, syntax, shapes, systems of equations."""
