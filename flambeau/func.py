"""Function transforms, `torch.func`: https://pytorch.org/docs/stable/func.html

Each is a walk over recorded nodes, so they compose in any order, with each other and with `jit`.
"""

from .nn.replaced_norms import replace_all_batch_norm_modules_
from .tracer.functions.rearrange import rearrange
from .tracer.transforms.forward import jvp, linearize
from .tracer.transforms.jacobians import hessian, jacfwd, jacrev
from .tracer.transforms.modules import debug_unwrap, functional_call, functionalize, stack_module_state
from .tracer.transforms.reverse import grad, grad_and_value, value_and_grad, vjp
from .tracer.transforms.vectorize import vmap

__all__ = ["debug_unwrap", "functional_call", "functionalize", "grad", "grad_and_value", "hessian", "jacfwd", "jacrev", "jvp",
           "linearize", "rearrange", "replace_all_batch_norm_modules_", "stack_module_state", "value_and_grad", "vjp", "vmap"]
