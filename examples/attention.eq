# Attention (Vaswani et al., 2017, eq. 1), a token a column: softmax works down the columns, so
# each column of P holds the weights with which one query takes up the values.

input X : d×n
target Y : d×n
parameter W_Q : k×d, W_K : k×d, W_V : d×d

Q = W_Q X
K = W_K X
V = W_V X
S = K' Q / sqrt(k)
P = softmax(S)
A = V P
L = 1/2 ‖A − Y‖²
