"""Hooks of optimizers, of one and of all, in torch's order and with its errors."""

from importlib import import_module

import pytest

torch = pytest.importorskip("torch")

import flambeau as fb  # noqa: E402

LIBRARIES = [fb, torch]


def module_of(lib):
    return import_module(f"{lib.__name__}.optim.optimizer")


def optimizer_of(lib):
    w = lib.tensor([1.0, 2.0], requires_grad=True)
    made = lib.optim.SGD([w], lr=0.5)
    w.grad = lib.ones(2)
    return made


def everything(lib):
    """The names of what is called, in order, and what state was saved and loaded."""
    optimizer, seen = optimizer_of(lib), []
    note = lambda name: lambda *args: seen.append((name, len(args)))  # noqa: E731
    handles = [
        module_of(lib).register_optimizer_step_pre_hook(note("every pre")),
        module_of(lib).register_optimizer_step_post_hook(note("every post")),
        optimizer.register_step_pre_hook(note("pre")),
        optimizer.register_step_post_hook(note("post")),
        optimizer.register_state_dict_pre_hook(note("save")),
        optimizer.register_state_dict_pre_hook(note("save first"), prepend=True),
        optimizer.register_state_dict_post_hook(note("saved")),
        optimizer.register_state_dict_post_hook(lambda _, saved: {**saved, "more": 1}, prepend=True),
        optimizer.register_load_state_dict_pre_hook(note("load")),
        optimizer.register_load_state_dict_pre_hook(note("load first"), prepend=True),
        optimizer.register_load_state_dict_post_hook(note("loaded")),
        optimizer.register_load_state_dict_post_hook(note("loaded first"), prepend=True),
    ]
    try:
        optimizer.step()
        saved = optimizer.state_dict()
        optimizer.load_state_dict(saved)
    finally:
        for handle in handles:
            handle.remove()
    optimizer.step()
    return seen, sorted(saved), sorted(optimizer.state_dict())


def test_all_hooks_run_in_torchs_order():
    assert everything(fb) == everything(torch)


def test_a_hook_that_changes_what_is_loaded():
    for lib in LIBRARIES:
        optimizer = optimizer_of(lib)
        saved = optimizer.state_dict()

        def slower(_, state):
            return {**state, "param_groups": [{**group, "lr": 0.125} for group in state["param_groups"]]}

        optimizer.register_load_state_dict_pre_hook(slower)
        optimizer.load_state_dict(saved)
        assert optimizer.param_groups[0]["lr"] == 0.125 and saved["param_groups"][0]["lr"] == 0.5


def test_what_a_pre_hook_may_return():
    for lib in LIBRARIES:
        optimizer = optimizer_of(lib)
        optimizer.register_step_pre_hook(lambda *_: 3)
        with pytest.raises(RuntimeError, match=r"must return None or a tuple of \(new_args, new_kwargs\), but got 3\.$"):
            optimizer.step()


def test_hooks_of_all_optimizers_belong_to_a_compiled_step():
    optimizer, seen = optimizer_of(fb), []
    step = fb.jit(optimizer.step)
    step()
    handle = module_of(fb).register_optimizer_step_post_hook(lambda *_: seen.append(1))
    step()
    handle.remove()
    step()
    assert seen == [1] and step.stats.compiles == 2


def test_a_group_gives_what_is_required():
    for lib in LIBRARIES:
        required = module_of(lib).required
        w = lib.ones(1, requires_grad=True)
        assert repr(required) == "<required parameter>"
        with pytest.raises(ValueError, match="didn't specify a value of required optimization parameter lr"):
            lib.optim.Optimizer([w], {"lr": required})
