"""What is done to a graph with the rules of its ops: backward, forward, over a batch, again, on numpy, smaller."""
