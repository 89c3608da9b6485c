"""`torch.special`: special functions, element by element. Source: https://pytorch.org/docs/stable/special.html"""

from .tracer.functions.activation import log_softmax, softmax
from .tracer.functions.bessel import (
    airy_ai,
    bessel_j0,
    bessel_j1,
    bessel_y0,
    bessel_y1,
    modified_bessel_i0,
    modified_bessel_i1,
    modified_bessel_k0,
    modified_bessel_k1,
    scaled_modified_bessel_k0,
    scaled_modified_bessel_k1,
    spherical_bessel_j0,
)
from .tracer.functions.error_functions import entr, erfcx, log_ndtr, ndtr, ndtri, xlog1py, zeta
from .tracer.functions.incomplete_gamma import igamma as gammainc
from .tracer.functions.incomplete_gamma import igammac as gammaincc
from .tracer.functions.polynomials import (
    chebyshev_polynomial_t,
    chebyshev_polynomial_u,
    chebyshev_polynomial_v,
    chebyshev_polynomial_w,
    hermite_polynomial_h,
    hermite_polynomial_he,
    laguerre_polynomial_l,
    legendre_polynomial_p,
    shifted_chebyshev_polynomial_t,
    shifted_chebyshev_polynomial_u,
    shifted_chebyshev_polynomial_v,
    shifted_chebyshev_polynomial_w,
)
from .tracer.functions.reduce import logsumexp
from .tracer.functions.special import i0, i0e, i1, i1e, logit, polygamma, sinc, xlogy
from .tracer.functions.special import mvlgamma as multigammaln
from .tracer.functions.unary import digamma, erf, erfc, erfinv, exp2, expm1, log1p, round
from .tracer.functions.unary import digamma as psi
from .tracer.functions.unary import lgamma as gammaln
from .tracer.functions.unary import sigmoid as expit

__all__ = [
    "airy_ai", "bessel_j0", "bessel_j1", "bessel_y0", "bessel_y1", "chebyshev_polynomial_t", "chebyshev_polynomial_u",
    "chebyshev_polynomial_v", "chebyshev_polynomial_w", "digamma", "entr", "erf", "erfc", "erfcx", "erfinv", "exp2", "expit",
    "expm1", "gammainc", "gammaincc", "gammaln", "hermite_polynomial_h", "hermite_polynomial_he", "i0", "i0e", "i1", "i1e",
    "laguerre_polynomial_l", "legendre_polynomial_p", "log1p", "log_ndtr", "log_softmax", "logit", "logsumexp",
    "modified_bessel_i0", "modified_bessel_i1", "modified_bessel_k0", "modified_bessel_k1", "multigammaln", "ndtr", "ndtri",
    "polygamma", "psi", "round", "scaled_modified_bessel_k0", "scaled_modified_bessel_k1", "shifted_chebyshev_polynomial_t",
    "shifted_chebyshev_polynomial_u", "shifted_chebyshev_polynomial_v", "shifted_chebyshev_polynomial_w", "sinc", "softmax",
    "spherical_bessel_j0", "xlog1py", "xlogy", "zeta"]
