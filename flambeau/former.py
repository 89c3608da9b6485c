"""Module names of former versions, by which pickles made then know classes."""

import sys

from .tracer.functions import interop
from .tracer.ir import dtypes

sys.modules.update({"flambeau.tracer.dtypes": dtypes, "flambeau.tracer.interop": interop})
