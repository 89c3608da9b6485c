"""`torch.linalg`: factorisations, systems, norms. Source: https://pytorch.org/docs/stable/linalg.html"""

from .tracer.functions.factorizations import cholesky_ex, householder_product, lu_factor, lu_factor_ex
from .tracer.functions.factorizations import linalg_cholesky as cholesky
from .tracer.functions.factorizations import linalg_lu as lu
from .tracer.functions.factorizations import linalg_qr as qr
from .tracer.functions.indefinite import ldl_factor, ldl_factor_ex, ldl_solve
from .tracer.functions.least_squares import lstsq, matrix_rank, pinv
from .tracer.functions.matrix_functions import linalg_cross as cross
from .tracer.functions.matrix_functions import linalg_diagonal as diagonal
from .tracer.functions.matrix_functions import linalg_matmul as matmul
from .tracer.functions.matrix_functions import linalg_vander as vander
from .tracer.functions.matrix_functions import matrix_exp, multi_dot, vecdot
from .tracer.functions.matrix_norms import cond, matrix_norm, vector_norm
from .tracer.functions.matrix_norms import linalg_norm as norm
from .tracer.functions.products import matrix_power
from .tracer.functions.spectra import eig, eigh, eigvals, eigvalsh, svdvals
from .tracer.functions.spectra import linalg_svd as svd
from .tracer.functions.systems import inv, inv_ex, solve, solve_ex, solve_triangular, tensorinv, tensorsolve
from .tracer.functions.systems import linalg_det as det
from .tracer.functions.systems import linalg_lu_solve as lu_solve
from .tracer.functions.systems import linalg_slogdet as slogdet
from .tracer.ir.errors import LinAlgError

__all__ = [
    "LinAlgError", "cholesky", "cholesky_ex", "cond", "cross", "det", "diagonal", "eig", "eigh", "eigvals", "eigvalsh",
    "householder_product", "inv", "inv_ex", "ldl_factor", "ldl_factor_ex", "ldl_solve", "lstsq", "lu", "lu_factor",
    "lu_factor_ex", "lu_solve", "matmul", "matrix_exp", "matrix_norm", "matrix_power", "matrix_rank", "multi_dot", "norm",
    "pinv", "qr", "slogdet", "solve", "solve_ex", "solve_triangular", "svd", "svdvals", "tensorinv", "tensorsolve", "vander",
    "vecdot", "vector_norm"]
