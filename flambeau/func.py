"""Function transforms, `torch.func`: https://pytorch.org/docs/stable/func.html

Each is a walk over recorded nodes, so they compose in any order, with each other and with `jit`.
"""

from .tracer.transforms.forward import jvp, linearize
from .tracer.transforms.jacobians import hessian, jacfwd, jacrev
from .tracer.transforms.modules import functional_call, functionalize, stack_module_state
from .tracer.transforms.reverse import grad, grad_and_value, value_and_grad, vjp
from .tracer.transforms.vectorize import vmap

__all__ = ["functional_call", "functionalize", "grad", "grad_and_value", "hessian", "jacfwd", "jacrev", "jvp", "linearize",
           "stack_module_state", "value_and_grad", "vjp", "vmap"]
