"""Systems of equations, the steps that lead to their gradients, and who tells them how."""
