# Layer normalisation (Ba, Kiros and Hinton, 2016, eq. 4) of one sample, with a gain g and a bias b.

input epsilon : 1
target y : n
parameter x : n, g : n, b : n

mu = mean(x)
c = x − mu
s = sqrt(mean(c.^2) + epsilon)
a = g .* c / s + b
L = 1/2 ‖a − y‖²
