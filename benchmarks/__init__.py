"""Side-by-side measurements against peers. Run `python -m benchmarks`."""
