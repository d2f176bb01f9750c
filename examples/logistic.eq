# Logistic regression of one sample: the probability p of class 1, and the negative log-likelihood.

input x : n
target y : 1
parameter w : n, b : 1

p = sigmoid(w' x + b)
L = −(y log(p) + (1 − y) log(1 − p))
