# Ridge regression: a sample is a row of X, the mean of the squares of the residuals, and a penalty.

input X : n×m, lambda : 1
target y : n
parameter w : m

r = X w − y
L = 1/n ‖r‖² + lambda ‖w‖²
