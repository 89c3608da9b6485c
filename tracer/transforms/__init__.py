"""The function transforms, by theme. `tracer.func` is their public face."""
