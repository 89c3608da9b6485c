"""One call, one executable."""
