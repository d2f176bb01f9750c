# A transformer block (Xiong et al., 2020, figure 1b), a token a column: attention and an MLP, each
# behind a layer normalisation and each added to what came in.

input X : d×n, epsilon : 1
target Y : d×n
parameter W_Q : k×d, W_K : k×d, W_V : d×d, W_O : d×d
parameter W_1 : m×d, b_1 : m, W_2 : d×m, b_2 : d
parameter g_1 : d, c_1 : d, g_2 : d, c_2 : d

# layer normalisation of every token
M_1 = X − ones(d) mean(X, columns)
N_1 = diag(g_1) M_1 ./ (ones(d) sqrt(mean(M_1.^2, columns) + epsilon)) + c_1

# attention
Q = W_Q N_1
K = W_K N_1
V = W_V N_1
P = softmax(K' Q / sqrt(k))
H = X + W_O V P

# layer normalisation again, then the MLP
M_2 = H − ones(d) mean(H, columns)
N_2 = diag(g_2) M_2 ./ (ones(d) sqrt(mean(M_2.^2, columns) + epsilon)) + c_2
Z = W_1 N_2 + b_1
R = H + W_2 gelu(Z) + b_2
L = 1/2 ‖R − Y‖²
