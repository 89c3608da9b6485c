"""`torch.__future__`: how modules convert their parameters, which is in place here."""

from __future__ import annotations

_TEXT = "set_{}_module_params_on_conversion(True) is not there: parameters stay the tensors that they are, and show new memory"


def set_overwrite_module_params_on_conversion(value: bool) -> None:
    """NotImplementedError for True: `module.to(...)` keeps the parameters that there are."""
    if value:
        raise NotImplementedError(_TEXT.format("overwrite"))


def get_overwrite_module_params_on_conversion() -> bool:
    """False."""
    return False


def set_swap_module_params_on_conversion(value: bool) -> None:
    """NotImplementedError for True: `module.to(...)` and `load_state_dict` keep the parameters that there are."""
    if value:
        raise NotImplementedError(_TEXT.format("swap"))


def get_swap_module_params_on_conversion() -> bool:
    """False."""
    return False
