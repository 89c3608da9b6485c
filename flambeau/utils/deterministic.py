"""`torch.utils.deterministic`: memory that is not written yet holds zeros here, so that this switch changes nothing."""

fill_uninitialized_memory = True

__all__ = ["fill_uninitialized_memory"]
