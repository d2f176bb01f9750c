# Poisson regression (McCullagh and Nelder, 1989, ch. 6) of one sample: y is a count whose rate is an
# exponential, and the loss is the negative log-likelihood without the term log(y!).

input x : n
target y : 1
parameter w : n, b : 1

z = w' x + b
rate = exp(z)
L = rate − y z
