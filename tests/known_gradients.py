"""Expressions whose gradients are known from books and papers, in the grammar of equations.

A gradient has the shape of its variable. It is written as the source prints it, but for three
conventions: transposes are pushed inside; a matrix is symmetric only if declared so; the Hessian
with respect to a matrix is that with respect to its vec.

A row is `name | source | symbols | loss | variable | derivative`; an indented line goes on with the
one above. Symbols have sizes, scalars none, and may say what they are: `symmetric`, `definite`,
`covariance` (both), `positive`, `tall` (more rows than columns), `simplex` (positive, entries that
add up to 1), `signs` (±1), `zero_one`. `f` and `g` are undetermined elementwise functions.

Sources: MC: Petersen and Pedersen (2012), The Matrix Cookbook. MN: Magnus and Neudecker (2019),
Matrix Differential Calculus, 3rd ed. BV: Boyd and Vandenberghe (2004), Convex Optimization. Giles:
Giles (2008), Collected matrix derivative results. Bishop: Bishop (2006), Pattern Recognition and
Machine Learning. Goodfellow: Goodfellow, Bengio and Courville (2016), Deep Learning. ESL: Hastie,
Tibshirani and Friedman (2009), The Elements of Statistical Learning. GPML: Rasmussen and Williams
(2006), Gaussian Processes for Machine Learning. A number after a book is that of an equation.
"""

from __future__ import annotations

from dataclasses import dataclass, field

FIRST_ORDER = """
linear form | MC (69) | x: n, a: n | a' x | x | a
bilinear form in the matrix | MC (70) | X: m×n, a: m, b: n | a' X b | X | a b'
bilinear form in the transpose | MC (71) | X: n×m, a: m, b: n | a' X' b | X | b a'
quadratic form in the matrix | MC (72) | X: n×n, a: n | a' X a | X | a a'
gram form | MC (77) | X: m×n, b: n, c: n | b' X' X c | X | X (b c' + c b')
product of affine forms | MC (78) | B: m×n, C: m×p, D: p×n, x: n, b: m, d: p |
    (B x + b)' C (D x + d) | x | B' C (D x + d) + D' C' (B x + b)
quadratic form | MC (81) | B: n×n, x: n | x' B x | x | (B + B') x
weighted gram form | MC (82) | X: m×n, D: m×m, b: n, c: n | b' X' D X c | X | D' X b c' + D X c b'
quadratic form of an affine map | MC (83) | X: m×n, D: m×m, b: n, c: m |
    (X b + c)' D (X b + c) | X | (D + D') (X b + c) b'
residual in the coefficients | MC (84) | x: m, A: m×n, s: n, W: m×m symmetric |
    (x - A s)' W (x - A s) | s | -2 A' W (x - A s)
residual in the design | MC (88) | x: m, A: m×n, s: n, W: m×m symmetric |
    (x - A s)' W (x - A s) | A | -2 W (x - A s) s'
quadratic function | MC (97) | A: n×n, x: n, b: n | x' A x + b' x | x | (A + A') x + b
bilinear form in the left vector | MN ch. 9 | x: m, A: m×n, y: n | x' A y | x | A y
outer gram form | MN ch. 9 | X: m×n, a: m | a' X X' a | X | 2 a a' X
square of a linear form | BV A.4 | a: n, x: n | (a' x)^2 | x | 2 (a' x) a
product of linear forms | BV A.4 | a: n, b: n, x: n | (a' x) (b' x) | x | (b' x) a + (a' x) b
square of a quadratic form | BV A.4 | A: n×n, x: n | (x' A x)^2 | x | 2 (x' A x) (A + A') x
sum of entries | MN ch. 9 | x: n | sum(x) | x | ones(n)
sum of the entries of a product | Giles sec. 2.2 | A: m×k, B: k×n |
    sum(A B) | A | ones(m) ones(n)' B'
mean of entries | Giles sec. 2.2 | x: n | mean(x) | x | ones(n) / n
trace | MC (99) | X: n×n | tr(X) | X | eye(n)
trace of a product | MC (100) | X: m×n, A: n×m | tr(X A) | X | A'
trace of three factors | MC (101) | A: k×m, X: m×n, B: n×k | tr(A X B) | X | A' B'
trace with a transpose between | MC (102) | A: k×n, X: m×n, B: m×k | tr(A X' B) | X | B A
inner product of matrices | MC (103) | X: m×n, A: m×n | tr(X' A) | X | A
trace of a Kronecker product | MC (105) | A: m×m, X: n×n | tr(kron(A, X)) | X | tr(A) eye(n)
trace of a square | MC (106) | X: n×n | tr(X^2) | X | 2 X'
trace of a square and a factor | MC (107) | X: n×n, B: n×n | tr(X^2 B) | X | B' X' + X' B'
trace form | MN ch. 9; MC (108) | X: m×n, B: m×m | tr(X' B X) | X | (B + B') X
trace form, turned | MN ch. 9; MC (111) | X: m×n, B: n×n | tr(X B X') | X | X (B + B')
bilinear trace | MC (114) | A: n×m, X: m×n, B: n×m | tr(A X B X) | X | A' X' B' + B' X' A'
trace of the inner gram matrix | MC (115) | X: m×n | tr(X' X) | X | 2 X
trace form with a factor | MC (116) | X: m×n, C: m×m, B: n×k |
    tr(B' X' C X B) | X | C' X B B' + C X B B'
trace form of two matrices | MC (117) | X: m×n, B: m×m, C: n×n |
    tr(X' B X C) | X | B X C + B' X C'
trace form of three matrices | MC (118) | X: m×n, A: k×m, B: n×n, C: m×k |
    tr(A X B X' C) | X | A' C' X B' + C A X B
squared affine map | MC (119) | A: k×m, X: m×n, B: n×p, C: k×p |
    tr((A X B + C) (A X B + C)') | X | 2 A' (A X B + C) B'
trace of a Kronecker square | MC (120) | X: n×n | tr(kron(X, X)) | X | 2 tr(X) eye(n)
trace of a factor and a cube | MC (122) | X: n×n, A: n×n |
    tr(A X^3) | X | A' (X')^2 + X' A' X' + (X')^2 A'
quartic trace | MC (123) | X: m×n, C: m×m, B: n×k |
    tr(B' X' C X X' C X B) | X | C X X' C X B B' + C' X B B' X' C' X
    + C X B B' X' C X + C' X X' C' X B B'
determinant | MC (49) | X: n×n | det(X) | X | det(X) inv(X)'
determinant of a product | MC (51) | A: n×n, X: n×n, B: n×n | det(A X B) | X | det(A X B) inv(X)'
determinant of a square form | MC (52) | X: n×n, A: n×n | det(X' A X) | X | 2 det(X' A X) inv(X)'
determinant of a symmetric form | MC (53) | X: m×n tall, A: m×m covariance |
    det(X' A X) | X | 2 det(X' A X) A X inv(X' A X)
determinant of a form | MC (54) | X: m×n tall, A: m×m definite |
    det(X' A X) | X | det(X' A X) (A X inv(X' A X) + A' X inv(X' A' X))
log determinant of the gram matrix | MC (55) | X: m×n tall | logdet(X' X) | X | 2 X inv(X' X)
log determinant | MC (57) | X: n×n definite | logdet(X) | X | inv(X)'
determinant of a power | MC (58) | X: n×n | det(X^3) | X | 3 det(X^3) inv(X)'
determinant of an inverse | MC (62) | X: n×n | det(inv(X)) | X | -det(inv(X)) inv(X)'
log determinant of a sum | Giles sec. 2.2.4 | X: n×n definite, A: n×n definite |
    logdet(X + A) | X | inv(X + A)'
log determinant along a line | MC (43) | A: n×n definite, B: n×n definite, c positive |
    logdet(A + c B) | c | tr(inv(A + c B) B)
log determinant of a factor model | Bishop sec. 12.2 | W: m×n, c positive |
    logdet(W W' + c eye(m)) | W | 2 inv(W W' + c eye(m)) W
bilinear form of an inverse | MC (61) | X: n×n definite, a: n, b: n |
    a' inv(X) b | X | -inv(X)' a b' inv(X)'
trace of an inverse of a sum | MC (64) | X: n×n definite, A: n×n definite |
    tr(inv(X + A)) | X | -inv(X + A)' inv(X + A)'
trace of an inverse with factors | MC (124) | A: m×n, X: n×n definite, B: n×m |
    tr(A inv(X) B) | X | -inv(X)' A' B' inv(X)'
trace of an inverse form | MC (125) | X: m×n tall, A: n×n, C: m×m covariance |
    tr(inv(X' C X) A) | X | -(C X inv(X' C X)) (A + A') inv(X' C X)
trace of a ratio of forms | MC (126) | X: m×n tall, B: m×m symmetric, C: m×m covariance |
    tr(inv(X' C X) (X' B X)) | X |
    -2 C X inv(X' C X) X' B X inv(X' C X) + 2 B X inv(X' C X)
inverse along a line | MC (59) | A: n×n definite, B: n×n definite, a: n, b: n, c positive |
    a' inv(A + c B) b | c | -a' inv(A + c B) B inv(A + c B) b
quadratic form of an inverse | MC (81) | A: n×n definite, x: n |
    x' inv(A) x | x | (inv(A) + inv(A)') x
size of an inverse | Giles sec. 2.2.3 | X: n×n definite |
    norm(inv(X))^2 | X | -2 inv(X)' inv(X) inv(X)'
sum of the entries of an inverse | Giles sec. 2.2.3 | X: n×n definite |
    sum(inv(X)) | X | -inv(X)' ones(n) ones(n)' inv(X)'
distance | MC (129) | x: n, a: n | norm(x - a) | x | (x - a) / norm(x - a)
direction | MC (130) | x: n, a: n | a' x / norm(x) | x | a / norm(x) - (a' x) x / norm(x)^3
squared norm | MC (131) | x: n | norm(x)^2 | x | 2 x
squared Frobenius norm | MC (132) | X: m×n | norm(X)^2 | X | 2 X
Frobenius distance | MC (129) | X: m×n, A: m×n | norm(X - A) | X | (X - A) / norm(X - A)
length of a residual | BV A.4 | A: m×n, x: n, b: m |
    norm(A x - b) | x | A' (A x - b) / norm(A x - b)
1-norm | BV A.4 | x: n | sum(abs(x)) | x | sign(x)
cosine similarity | Nguyen & Bai (2010) | x: n, y: n |
    x' y / (norm(x) norm(y)) | x | y / (norm(x) norm(y)) - (x' y) x / (norm(x)^3 norm(y))
Rayleigh quotient | Trefethen & Bau (1997), lect. 27 | A: n×n symmetric, x: n |
    (x' A x) / (x' x) | x | 2 / (x' x) * (A x - (x' A x) / (x' x) * x)
principal components | MN ch. 17 | W: m×n, S: m×m symmetric | tr(W' S W) | W | 2 S W
undetermined function | MN ch. 5 | x: n, f | sum(f(x)) | x | f'(x)
undetermined function of a linear map | MN ch. 5 | A: m×n, x: n, f | sum(f(A x)) | x | A' f'(A x)
undetermined function in the matrix | MN ch. 5 | A: m×n, x: n, b: m, f |
    sum(f(A x + b)) | A | f'(A x + b) x'
weighted undetermined function | MN ch. 5 | a: n, x: n, f | a' f(x) | x | a .* f'(x)
undetermined function of a matrix | Giles sec. 2.2 | A: m×n, X: m×n, f |
    tr(A' f(X)) | X | A .* f'(X)
composition | MN ch. 5 | x: n, f, g | sum(f(g(x))) | x | f'(g(x)) .* g'(x)
product of functions | MC (38) | x: n, f, g | f(x)' g(x) | x | f'(x) .* g(x) + f(x) .* g'(x)
quotient of functions | MN ch. 5 | x: n, y: n positive | sum(x ./ y) | x | 1 ./ y
exponential | MN ch. 5 | x: n | sum(exp(x)) | x | exp(x)
logarithm | MN ch. 5 | x: n positive | sum(log(x)) | x | 1 ./ x
square root | MN ch. 5 | x: n positive | sum(sqrt(x)) | x | 1/2 * (1 ./ sqrt(x))
hyperbolic tangent | Goodfellow sec. 6.3.2 | x: n | sum(tanh(x)) | x | 1 - tanh(x).^2
rectifier | Goodfellow sec. 6.3.1 | x: n, a: n | a' max(x, 0) | x | a .* [x > 0]
swish | Ramachandran et al. (2017) | x: n, a: n |
    a' (x .* sigmoid(x)) | x | a .* (sigmoid(x) + x .* sigmoid'(x))
leaky rectifier | Maas et al. (2013), eq. 3 | x: n, c positive |
    sum(where(x > 0, x, c x)) | x | where(x > 0, 1, c)
softplus | Goodfellow sec. 3.10 | x: n | sum(log(1 + exp(x))) | x | sigmoid(x)
negative entropy | BV sec. 3.1.5 | x: n positive | x' log(x) | x | log(x) + 1
relative entropy in the first | BV ex. 3.19 | x: n positive, y: n positive |
    sum(x .* log(x ./ y)) | x | log(x ./ y) + 1
exponentials of a linear map | BV A.4 | A: m×n, x: n | sum(exp(A x)) | x | A' exp(A x)
log barrier | BV sec. 11.2.1 | A: m×n, x: n, b: m positive |
    -sum(log(b - A x)) | x | A' (1 ./ (b - A x))
elementwise product in a trace | MC (38) | A: m×n, B: m×n, X: m×n | tr(A' (X .* B)) | X | A .* B
elementwise product in a bilinear form | MC (38) | X: m×n, Y: m×n, a: m, b: n |
    a' (X .* Y) b | X | (a b') .* Y
masked residual | Koren et al. (2009), eq. 2 | M: m×n, X: m×n, B: m×n |
    1/2 * norm(M .* (X - B))^2 | X | M.^2 .* (X - B)
scaled coordinates | MN ch. 9 | a: n, x: n, b: n | a' diag(x) b | x | a .* b
diagonal quadratic form | MN ch. 9 | x: n, a: n | x' diag(a) x | x | 2 a .* x
trace with a diagonal factor | MN ch. 9 | x: n, A: n×n | tr(diag(x) A) | x | diagonal(A)
diagonal factor between | MN ch. 9 | A: m×n, x: n, B: n×m | tr(A diag(x) B) | x | diagonal(B A)
weighted diagonal | MN ch. 9 | a: n, X: n×n | a' diagonal(X) | X | diag(a)
diagonal of a product | MN ch. 9 | a: m, X: m×n, B: n×m | a' diagonal(X B) | X | diag(a) B'
log determinant of a diagonal | MN ch. 9 | x: n positive | logdet(diag(x)) | x | 1 ./ x
inner product of vecs | MN ch. 2 | A: m×n, X: m×n | vec(A)' vec(X) | X | A
Kronecker quadratic form | MN ch. 2 | X: m×n, A: n×n, B: m×m |
    vec(X)' kron(A, B) vec(X) | X | B X A' + B' X A
layer through vec | MN ch. 2 | W: m×n, x: n, y: m |
    1/2 * norm(kron(x', eye(m)) vec(W) - y)^2 | W | (W x - y) x'
sum of a Kronecker product | MC (39) | A: m×n, X: p×q |
    sum(kron(A, X)) | X | sum(A) ones(p) ones(q)'
size of a Kronecker product | MC (39) | A: m×n, X: p×q | norm(kron(A, X))^2 | X | 2 norm(A)^2 X
log-sum-exp | BV sec. 3.1.5 | x: n | logsumexp(x) | x | softmax(x)
log-sum-exp of an affine map | BV A.4.2 | A: m×n, x: n, b: m |
    logsumexp(A x + b) | x | A' softmax(A x + b)
cross-entropy of logits | Goodfellow sec. 6.2.2 | z: n, y: n |
    logsumexp(z) - y' z | z | softmax(z) - y
cross-entropy of softmax | Bishop 4.108 | z: n, y: n simplex |
    -y' log(softmax(z)) | z | softmax(z) - y
cross-entropy, any weights | Bishop 4.108 | z: n, y: n |
    -y' log(softmax(z)) | z | sum(y) softmax(z) - y
least squares | Goodfellow 4.22 | A: m×n, x: n, b: m | 1/2 * norm(A x - b)^2 | x | A' (A x - b)
mean squared error | Goodfellow sec. 5.1.4 | X: n×m, w: m, y: n |
    1/n * norm(X w - y)^2 | w | 2/n * X' (X w - y)
ridge regression | Bishop 3.27 | X: n×m, w: m, y: n, c positive |
    1/2 * norm(X w - y)^2 + c/2 * w' w | w | X' (X w - y) + c w
weighted least squares | Bishop 3.104 | X: n×m, w: m, y: n, r: n positive |
    1/2 * (X w - y)' diag(r) (X w - y) | w | X' (r .* (X w - y))
least squares of several outputs | Bishop sec. 3.1.5 | X: n×m, W: m×k, Y: n×k |
    1/2 * norm(X W - Y)^2 | W | X' (X W - Y)
lasso | Tibshirani (1996) | X: n×m, w: m, y: n, c positive |
    1/2 * norm(X w - y)^2 + c sum(abs(w)) | w | X' (X w - y) + c sign(w)
least absolute deviations | BV sec. 6.1 | X: n×m, w: m, y: n |
    sum(abs(X w - y)) | w | X' sign(X w - y)
logistic regression | Bishop 4.96 | X: n×m, w: m, t: n zero_one |
    -sum(t .* log(sigmoid(X w)) + (1 - t) .* log(1 - sigmoid(X w))) | w | X' (sigmoid(X w) - t)
logistic regression of logits | ESL 4.21 | X: n×m, w: m, t: n zero_one |
    sum(log(1 + exp(X w))) - t' X w | w | X' (sigmoid(X w) - t)
logistic regression of signs | ESL sec. 10.5 | X: n×m, w: m, y: n signs |
    sum(log(1 + exp(-y .* (X w)))) | w | -X' (y .* sigmoid(-y .* (X w)))
Poisson regression | McCullagh & Nelder (1989), ch. 6 | X: n×m, w: m, y: n positive |
    sum(exp(X w)) - y' X w | w | X' (exp(X w) - y)
exponential loss | ESL 10.8 | X: n×m, w: m, y: n signs |
    sum(exp(-y .* (X w))) | w | -X' (y .* exp(-y .* (X w)))
smooth Huber regression | Hartley & Zisserman (2004), A6.8 | X: n×m, w: m, y: n |
    sum(sqrt(1 + (X w - y).^2)) | w | X' ((X w - y) ./ sqrt(1 + (X w - y).^2))
hinge loss | ESL 12.25 | X: n×m, w: m, y: n signs |
    sum(max(1 - y .* (X w), 0)) | w | -X' (y .* [1 - y .* (X w) > 0])
Gaussian in the mean | Bishop 2.120 | x: n, m: n, S: n×n covariance |
    -1/2 * (x - m)' inv(S) (x - m) | m | inv(S) (x - m)
Gaussian in the covariance | MC sec. 8.4 | x: n, m: n, S: n×n covariance |
    -1/2 * logdet(S) - 1/2 * (x - m)' inv(S) (x - m) | S |
    1/2 * (-inv(S) + inv(S) (x - m) (x - m)' inv(S))
Gaussian in the precision | Bishop sec. 2.3.6 | x: n, m: n, P: n×n covariance |
    1/2 * logdet(P) - 1/2 * (x - m)' P (x - m) | P | 1/2 * inv(P) - 1/2 * (x - m) (x - m)'
Gaussian of a sample | MC sec. 8.1 | S: n×n definite, C: n×n, c positive |
    -c/2 * logdet(S) - 1/2 * tr(inv(S) C) | S | 1/2 * inv(S)' C' inv(S)' - c/2 * inv(S)'
Gaussian in the scale | Bishop sec. 1.2.4 | x: n, m: n, s positive |
    n log(s) + norm(x - m)^2 / (2 s^2) | s | n / s - norm(x - m)^2 / s^3
Gaussian process | GPML 5.9 | y: n, K: n×n covariance |
    1/2 * y' inv(K) y + 1/2 * logdet(K) | K | 1/2 * (inv(K) - inv(K) y y' inv(K))
Gaussian divergence | Kingma & Welling (2014), app. B | m: n, s: n |
    1/2 * sum(exp(s) + m.^2 - 1 - s) | s | 1/2 * (exp(s) - 1)
Student's t | Bishop 2.162 | x: n, c positive | log(1 + x' x / c) | x | 2 x / (c + x' x)
Mahalanobis distance in its matrix | Weinberger & Saul (2009), sec. 2 | x: n, y: n, M: n×n |
    (x - y)' M (x - y) | M | (x - y) (x - y)'
Mahalanobis distance in its factor | Weinberger & Saul (2009), sec. 2 | x: n, y: n, F: m×n |
    norm(F (x - y))^2 | F | 2 F (x - y) (x - y)'
matrix factorisation, left | Koren et al. (2009), eq. 2 | X: m×n, U: m×k, V: n×k |
    1/2 * norm(X - U V')^2 | U | -(X - U V') V
matrix factorisation, right | Koren et al. (2009), eq. 2 | X: m×n, U: m×k, V: n×k |
    1/2 * norm(X - U V')^2 | V | -(X - U V')' U
penalised factorisation | Koren et al. (2009), eq. 2 | X: m×n, U: m×k, V: n×k, c positive |
    1/2 * norm(X - U V')^2 + c/2 * norm(U)^2 | U | -(X - U V') V + c U
non-negative factors | Lee & Seung (2001), eq. 3 | X: m×n, W: m×k positive, H: k×n positive |
    sum(W H) - sum(X .* log(W H)) | H | W' (1 - X ./ (W H))
Sylvester residual | Horn & Johnson (1991), sec. 4.4 | A: m×m, X: m×n, B: n×n, C: m×n |
    1/2 * norm(A X + X B - C)^2 | X | A' (A X + X B - C) + (A X + X B - C) B'
orthogonality penalty | Brock et al. (2017) | W: m×n |
    norm(W' W - eye(n))^2 | W | 4 W (W' W - eye(n))
two-sided residual | MC (119) | A: m×n, B: m×k, X: k×p, C: p×n |
    norm(A - B X C)^2 | X | -2 B' (A - B X C) C'
Gaussian kernel | GPML 4.9 | x: n, y: n, c positive |
    exp(-c norm(x - y)^2) | x | -2 c exp(-c norm(x - y)^2) (x - y)
polynomial kernel | GPML sec. 4.2.2 | x: n, y: n, c positive | (x' y + c)^3 | x | 3 (x' y + c)^2 y
kernel ridge regression | Bishop sec. 6.1 | K: n×n covariance, a: n, y: n, c positive |
    1/2 * norm(K a - y)^2 + c/2 * a' K a | a | K (K a - y) + c K a
layer in the weights | Bishop 5.53 | W: m×n, x: n, b: m, y: m, f |
    1/2 * norm(f(W x + b) - y)^2 | W | (f'(W x + b) .* (f(W x + b) - y)) x'
layer in the input | Bishop 5.56 | W: m×n, x: n, b: m, y: m, f |
    1/2 * norm(f(W x + b) - y)^2 | x | W' (f'(W x + b) .* (f(W x + b) - y))
batch in the weights | Goodfellow sec. 6.5.7 | W: m×n, X: n×k, Y: m×k, f |
    1/2 * norm(f(W X) - Y)^2 | W | (f'(W X) .* (f(W X) - Y)) X'
batch in the bias | Goodfellow sec. 6.5.7 | W: m×n, X: n×k, b: m, Y: m×k, f |
    1/2 * norm(f(W X + b ones(k)') - Y)^2 | b | (f'(W X + b ones(k)')
    .* (f(W X + b ones(k)') - Y)) ones(k)
neuron | Goodfellow alg. 6.4 | w, x, b, y |
    1/2 * (sigmoid(w x + b) - y)^2 | w | (sigmoid(w x + b) - y) sigmoid'(w x + b) x
sigmoid layer | Goodfellow alg. 6.4 | W: m×n, x: n, y: m |
    1/2 * norm(sigmoid(W x) - y)^2 | W | (sigmoid'(W x) .* (sigmoid(W x) - y)) x'
tanh layer | Goodfellow alg. 6.4 | W: m×n, x: n, y: m |
    1/2 * norm(tanh(W x) - y)^2 | W | ((1 - tanh(W x).^2) .* (tanh(W x) - y)) x'
rectifier layer | Goodfellow sec. 6.5.7 | W: m×n, x: n, a: m |
    a' max(W x, 0) | W | (a .* [W x > 0]) x'
hidden layer | Bishop 5.56 | V: k×m, W: m×n, x: n, y: k, f |
    1/2 * norm(V f(W x) - y)^2 | W | (f'(W x) .* (V' (V f(W x) - y))) x'
output layer | Bishop 5.67 | V: k×m, W: m×n, x: n, y: k, f |
    1/2 * norm(V f(W x) - y)^2 | V | (V f(W x) - y) f(W x)'
residual block | He et al. (2016), eq. 1 | V: n×m, W: m×n, x: n, y: n, f |
    1/2 * norm(x + V f(W x) - y)^2 | x | x + V f(W x) - y
    + W' (f'(W x) .* (V' (x + V f(W x) - y)))
shared weights of two steps | Goodfellow sec. 10.2.2 | W: n×n, h: n, x: n, y: n, c: n, f |
    c' f(W f(W h + x) + y) | W | (c .* f'(W f(W h + x) + y)) f(W h + x)'
    + (f'(W h + x) .* (W' (c .* f'(W f(W h + x) + y)))) h'
gated unit, gates | Shazeer (2020), sec. 2 | a: m, W: m×n, V: m×n, x: n, f |
    a' (f(W x) .* (V x)) | W | (a .* (V x) .* f'(W x)) x'
attention, query | Vaswani et al. (2017), eq. 1 | a: k, K: n×k, q: n |
    a' softmax(K' q) | q | K (softmax(K' q) .* (a - a' softmax(K' q)))
attention, keys | Vaswani et al. (2017), eq. 1 | a: k, K: n×k, q: n |
    a' softmax(K' q) | K | q (softmax(K' q) .* (a - a' softmax(K' q)))'
attention of one query | Vaswani et al. (2017), eq. 1 | a: m, V: m×k, K: n×k, q: n |
    a' V softmax(K' q / sqrt(n)) | q | K (softmax(K' q / sqrt(n))
    .* (V' a - a' V softmax(K' q / sqrt(n)))) / sqrt(n)
attention of many queries | Vaswani et al. (2017), eq. 1 | A: m×p, V: m×k, K: n×k, Q: n×p |
    tr(A' V softmax(K' Q)) | V | A softmax(K' Q)'
layer normalisation | Ba et al. (2016), eq. 4 | a: n, x: n, c positive |
    a' (x - mean(x)) / sqrt(mean((x - mean(x)).^2) + c) | x |
    (a - mean(a)) / sqrt(mean((x - mean(x)).^2) + c)
    - a' (x - mean(x)) (x - mean(x)) / (n (mean((x - mean(x)).^2) + c)^(3/2))
root mean square norm | Zhang & Sennrich (2019), sec. 4 | a: n, x: n |
    a' x / sqrt(mean(x.^2)) | x | a / sqrt(mean(x.^2)) - (a' x) x / (n mean(x.^2)^(3/2))
variance | Ba et al. (2016), eq. 3 | x: n | 1/n * norm(x - mean(x))^2 | x | 2/n * (x - mean(x))
stacked vectors | MN ch. 1 | x: m, y: n | norm([x; y])^2 | x | 2 x
stacked blocks | MN ch. 1 | A: m×n, B: k×n, x: n | norm([A; B] x)^2 | A | 2 A x x'
blocks beside each other | MN ch. 1 | A: m×n, B: m×k, c: m | norm(c' [A, B])^2 | A | 2 c c' A
triplet loss | Schroff et al. (2015), sec. 3.1 | a: n, p: n, q: n |
    norm(a - p)^2 - norm(a - q)^2 | a | 2 (q - p)
contrastive loss of a query | van den Oord et al. (2018), eq. 4 | K: m×n, k: n, q: n |
    logsumexp(K q) - k' q | q | K' softmax(K q) - k
negative sampling | Mikolov et al. (2013), eq. 4 | u: n, v: n |
    -log(sigmoid(u' v)) | v | (sigmoid(u' v) - 1) u
"""

SECOND_ORDER = """
quadratic form | MC (98) | A: n×n, x: n, b: n | x' A x + b' x | x | A + A'
least squares | BV sec. 9.1 | A: m×n, x: n, b: m | 1/2 * norm(A x - b)^2 | x | A' A
ridge regression | Bishop 3.27 | X: n×m, w: m, y: n, c positive |
    1/2 * norm(X w - y)^2 + c/2 * w' w | w | X' X + c eye(m)
square of a linear form | BV A.4 | a: n, x: n | (a' x)^2 | x | 2 a a'
exponential of a linear form | BV A.4 | a: n, x: n | exp(a' x) | x | exp(a' x) a a'
distance | MC (130) | x: n, a: n |
    norm(x - a) | x | eye(n) / norm(x - a) - (x - a) (x - a)' / norm(x - a)^3
squared square | MN ch. 10 | x: n | (x' x)^2 | x | 4 (x' x) eye(n) + 8 x x'
undetermined function | MN ch. 10 | x: n, f | sum(f(x)) | x | diag(f''(x))
undetermined function of a linear map | BV A.4.4 | A: m×n, x: n, f |
    sum(f(A x)) | x | A' diag(f''(A x)) A
negative entropy | BV sec. 3.1.5 | x: n positive | x' log(x) | x | diag(1 ./ x)
log barrier | BV sec. 11.2.1 | A: m×n, x: n, b: m positive |
    -sum(log(b - A x)) | x | A' diag(1 ./ (b - A x).^2) A
log-sum-exp | BV sec. 3.1.5 | x: n | logsumexp(x) | x | diag(softmax(x)) - softmax(x) softmax(x)'
log-sum-exp of a linear map | BV A.4.4 | A: m×n, x: n |
    logsumexp(A x) | x | A' (diag(softmax(A x)) - softmax(A x) softmax(A x)') A
logistic regression | Bishop 4.97 | X: n×m, w: m, t: n zero_one |
    sum(log(1 + exp(X w))) - t' X w | w | X' diag(sigmoid(X w) .* (1 - sigmoid(X w))) X
Poisson regression | McCullagh & Nelder (1989), ch. 6 | X: n×m, w: m, y: n positive |
    sum(exp(X w)) - y' X w | w | X' diag(exp(X w)) X
trace form | MN ch. 10 | X: m×n, A: m×m, B: n×n | tr(X' A X B) | X | kron(B', A) + kron(B, A')
matrix factorisation | MN ch. 10 | X: m×n, U: m×k, V: n×k |
    1/2 * norm(X - U V')^2 | U | kron(V' V, eye(m))
trace of a square | MN ch. 10 | X: n×n | tr(X^2) | X | 2 K(n, n)
log determinant | MN ch. 10 | X: n×n definite | logdet(X) | X | -K(n, n) kron(inv(X)', inv(X))
layer | Bishop sec. 5.4 | W: m×n, x: n, b: m, y: m, f |
    1/2 * norm(f(W x + b) - y)^2 | W | kron(x x', diag(f'(W x + b).^2
    + (f(W x + b) - y) .* f''(W x + b)))
"""


FUNCTIONS = "f", "g"
SYMMETRIC = "symmetric", "covariance"


@dataclass(frozen=True)
class Known:
    """One row of the table.

    Attributes
    ----------
    name, source : what it is, and where its derivative is printed.
    declarations : the lines that declare its symbols.
    loss, variable, derivative : as text.
    order : 1 for a gradient, 2 for a Hessian.
    draws : how symbols are drawn, for those that are not standard normal.
    """

    name: str
    source: str
    declarations: tuple[str, ...]
    loss: str
    variable: str
    derivative: str
    order: int
    draws: dict[str, str] = field(hash=False)

    @property
    def system(self) -> str:
        """The declarations and the loss, as a file of equations."""
        return "\n".join((*self.declarations, f"L = {self.loss}"))

    def __str__(self) -> str:
        return f"{self.name} ({self.variable}, order {self.order})"


def rows() -> tuple[Known, ...]:
    """Every row, gradients before Hessians."""
    tables = (FIRST_ORDER, 1), (SECOND_ORDER, 2)
    return tuple(_row(lines, order) for text, order in tables for lines in _entries(text))


def _entries(table: str) -> list[str]:
    """The rows of a table, each on one line: an indented line goes on with the one above."""
    return table.strip().replace("\n    ", " ").splitlines()


def _row(line: str, order: int) -> Known:
    name, source, symbols, loss, variable, derivative = line.split(" | ")
    declarations, assumptions, draws = [], [], {}
    for entry in symbols.split(", "):
        symbol, *how = entry.split()
        if symbol in FUNCTIONS:
            declarations.append(f"elementwise {symbol}")
            continue
        size = how.pop(0) if symbol.endswith(":") else "1"
        symbol = symbol.rstrip(":")
        suffix = " symmetric" if how and how[0] in SYMMETRIC else ""
        declarations.append(f"input {symbol} : {size}{suffix}")
        if how:
            draws[symbol] = how[0]
        if "simplex" in how:
            assumptions.append(f"assume sum({symbol}) = 1")
    given = (*declarations, *assumptions)
    return Known(name, source, given, loss, variable, derivative, order, draws)
