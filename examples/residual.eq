# A residual block (He et al., 2016, eq. 1): what comes in is added to what two layers make of it.
# The function f between them stays undetermined; its derivative is f′.

elementwise f
input x : n
target y : n
parameter U : m×n, V : n×m

z = U x
h = x + V f(z)
L = 1/2 ‖h − y‖²
