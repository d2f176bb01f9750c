# A recurrent cell (Goodfellow et al., 2016, eq. 10.8) over three steps of time. The weights W, U and
# b are the same at every step, so their gradients are sums over the steps.

input x1 : n, x2 : n, x3 : n, h0 : m
target y : k
parameter W : m×m, U : m×n, b : m, V : k×m

h1 = tanh(W h0 + U x1 + b)
h2 = tanh(W h1 + U x2 + b)
h3 = tanh(W h2 + U x3 + b)
r = V h3 − y
L = 1/2 ‖r‖²
