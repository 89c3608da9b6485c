"""What flambeau is measured against: the same work, written by hand for JAX and PyTorch."""
