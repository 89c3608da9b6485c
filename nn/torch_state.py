"""The state of a module that torch pickled: its hooks lie in a dict for each kind, ours in one object, if there are any."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .hooks import Hook, Hooks

_FLAGS = ("_forward_hooks_with_kwargs", "_forward_hooks_always_called", "_forward_pre_hooks_with_kwargs",
          "_is_full_backward_hook")
_TABLES: dict[str, tuple[str, Callable[[Any, dict[str, Any], Any], Hook]]] = {
    "_forward_pre_hooks": ("forward_pre", lambda call, told, key: Hook(
        call, with_kwargs=key in told.get("_forward_pre_hooks_with_kwargs", ()))),
    "_forward_hooks": ("forward", lambda call, told, key: Hook(
        call, with_kwargs=key in told.get("_forward_hooks_with_kwargs", ()),
        always_call=key in told.get("_forward_hooks_always_called", ()))),
    "_backward_pre_hooks": ("backward_pre", lambda call, told, key: Hook(call)),
    "_backward_hooks": ("backward", lambda call, told, key: Hook(call, full=told.get("_is_full_backward_hook") is not False)),
    "_state_dict_pre_hooks": ("state_dict_pre", lambda call, told, key: Hook(call)),
    "_state_dict_hooks": ("state_dict_post", lambda call, told, key: Hook(
        call, replaces=not getattr(call, "_from_public_api", False))),
    "_load_state_dict_pre_hooks": ("load_pre", lambda call, told, key: Hook(
        getattr(call, "hook", call), with_module=getattr(call, "with_module", False))),
    "_load_state_dict_post_hooks": ("load_post", lambda call, told, key: Hook(call)),
}


class WrappedHook:
    """What a pickle of torch's holds of a hook that is called before a state dict is loaded."""

    hook: Any
    with_module = False

    def __setstate__(self, saved: dict[str, Any]) -> None:
        self.__dict__.update(saved)


def in_our_form(saved: dict[str, Any]) -> dict[str, Any]:
    """What a pickle holds of a module, with torch's tables of hooks as ours."""
    if "_hooks" in saved or "_forward_hooks" not in saved:
        return saved
    own = {name: value for name, value in saved.items() if name not in _TABLES and name not in _FLAGS}
    hooks = Hooks()
    for name, (kind, made) in _TABLES.items():
        hooks.tables[kind].update((key, made(call, saved, key)) for key, call in saved.get(name, {}).items())
    own["_hooks"] = hooks if any(hooks.tables.values()) else None
    return own
