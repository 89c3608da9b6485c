"""`flambeau.debug`: looking at values inside compiled steps."""

from .reports import debug_print as print

__all__ = ["print"]
