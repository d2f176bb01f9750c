# The network 2-2-1 of every first lecture on backpropagation, with matrices for its layers.
# Two layers of weights and biases.

input x : n
target y : k
parameter W1 : m×n, b1 : m, W2 : k×m, b2 : k

z1 = W1 x + b1
a1 = sigmoid(z1)
z2 = W2 a1 + b2
a2 = sigmoid(z2)
L = 1/2 ‖a2 − y‖²
