# Ridge regression of a batch of B samples: a sample is a row of X, the loss is the mean of the
# squares of the residuals, and a penalty.

input X : B×m, lambda : 1
target y : B
parameter w : m

p = X w
r = p − y
L = 1/B ‖r‖² + lambda ‖w‖²
