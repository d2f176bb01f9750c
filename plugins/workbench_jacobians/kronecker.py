"""(x ⊗ I) g: every Jacobian is written out over vec, with Kronecker products for matrices."""

from workbench import JacobianStrategy
from workbench_jacobians.local import of_elementwise_product, of_function, of_product, of_sum

kronecker = JacobianStrategy(
    name="kronecker",
    description="(x ⊗ I) g: every Jacobian is written out over vec, with Kronecker products.",
    rules={
        "apply": of_function,
        "add": of_sum,
        "multiply": of_elementwise_product,
        "matmul": of_product,
    },
)
