"""Outside jit: running what is pending."""
