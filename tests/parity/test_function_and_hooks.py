"""`autograd.Function`, hooks and anomaly detection against torch: values, gradients, what hooks see, messages."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import flambeau  # noqa: E402

LIBRARIES = (torch, flambeau)
DATA = np.random.default_rng(0).uniform(0.5, 2, (3, 4)).astype(np.float32)


def flat(x: Any) -> list[Any]:
    if isinstance(x, (list, tuple)):
        return [leaf for part in x for leaf in flat(part)]
    return [np.asarray(x.detach().numpy()) if hasattr(x, "detach") else x]


def compare(program: Callable[[Any], Any]) -> None:
    """Both libraries give the same, or raise errors of the same message."""
    theirs, ours = (outcome(program, t) for t in LIBRARIES)
    assert len(theirs) == len(ours), (theirs, ours)
    for a, b in zip(theirs, ours):
        if isinstance(a, np.ndarray):
            np.testing.assert_allclose(b, a, rtol=1e-5, atol=1e-6)
        else:
            assert a == b


def outcome(program: Callable[[Any], Any], t: Any) -> list[Any]:
    try:
        return flat(program(t))
    except (RuntimeError, TypeError) as error:
        return [type(error).__name__, str(error)]


def leaf(t: Any, data: Any = DATA) -> Any:
    return t.tensor(data, requires_grad=True)


def function(t: Any, forward: Any, backward: Any = None, **methods: Any) -> Any:
    """A subclass of Function named Fn."""
    if backward is not None:
        methods["backward"] = backward
    return type("Fn", (t.autograd.Function,), {k: staticmethod(f) if callable(f) else f
                                               for k, f in {"forward": forward, **methods}.items()})


def scaled_sine(t: Any, separate: bool) -> Any:
    """sin(x) * k + y with a gradient that says three times what is true, so that one sees whose it is."""
    def save(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.save_for_backward(inputs[0], None)
        ctx.k = inputs[2]

    def forward(x: Any, y: Any, k: float = 2.0) -> Any:
        return t.sin(x) * k + y

    def with_context(ctx: Any, *inputs: Any) -> Any:
        save(ctx, inputs, None)
        return forward(*inputs)

    def backward(ctx: Any, g: Any) -> Any:
        x, nothing = ctx.saved_tensors
        assert nothing is None
        return 3 * ctx.k * t.cos(x) * g, 3 * g if ctx.needs_input_grad[1] else None, None

    if separate:
        return function(t, forward, backward, setup_context=save)
    return function(t, with_context, backward)


@pytest.mark.parametrize("separate", [False, True])
def test_both_styles_to_second_order(separate: bool) -> None:
    def program(t: Any) -> Any:
        x, y = leaf(t), leaf(t, DATA[0])
        out = scaled_sine(t, separate).apply(x * 1, y, 1.5)
        (dx,) = t.autograd.grad((out ** 2).sum(), x, create_graph=True)
        dx.sum().backward()
        return out, dx, x.grad, y.grad

    compare(program)


def test_defaults_and_keywords_with_setup_context() -> None:
    def program(t: Any) -> Any:
        x = leaf(t)
        out = scaled_sine(t, True).apply(x, y=t.ones(4), k=3.0) + scaled_sine(t, True).apply(x, 1.0)
        out.sum().backward()
        return out, x.grad

    compare(program)


def test_several_outputs_and_which_gradients_arrive() -> None:
    def program(t: Any, materialize: bool) -> Any:
        seen: list[Any] = []

        def forward(ctx: Any, x: Any) -> Any:
            ctx.set_materialize_grads(materialize)
            plain, rounded = x * 5, x.long()
            ctx.mark_non_differentiable(plain)
            return x * 2, plain, rounded, x * 3, "text", None

        def backward(ctx: Any, *grads: Any) -> Any:
            seen.extend("none" if g is None else g for g in grads)
            return sum(g for g in grads if g is not None and g.is_floating_point())

        x = leaf(t)
        a, plain, rounded, b, text, nothing = function(t, forward, backward).apply(x)
        (b * 4).sum().backward()
        flags = [a.requires_grad, plain.requires_grad, rounded.requires_grad, b.requires_grad, text, nothing]
        return seen, flags, x.grad, plain, rounded

    compare(lambda t: program(t, True))
    compare(lambda t: program(t, False))


def test_saved_outputs_and_intermediates_have_the_history_that_torch_gives_them() -> None:
    def program(t: Any) -> Any:
        def forward(ctx: Any, x: Any) -> Any:
            inner = t.exp(x * 0.5)
            out = inner * inner
            ctx.save_for_backward(out, inner)
            ctx.kept = [inner * 2, {"x": x}]
            return out

        def backward(ctx: Any, g: Any) -> Any:
            out, inner = ctx.saved_tensors
            return g * out + 0 * inner * ctx.kept[0] * ctx.kept[1]["x"]

        x = leaf(t)
        y = function(t, forward, backward).apply(x)
        first = t.autograd.grad(y.sum(), x, create_graph=True)[0]
        return y, first, t.autograd.grad(first.sum(), x)[0]

    compare(program)


def test_dirty_inputs() -> None:
    def program(t: Any) -> Any:
        def forward(ctx: Any, x: Any) -> Any:
            ctx.mark_dirty(x)
            x.mul_(3)
            ctx.save_for_backward(x)
            return x

        def backward(ctx: Any, g: Any) -> Any:
            return g * ctx.saved_tensors[0]

        x = leaf(t)
        y = x * 2
        z = function(t, forward, backward).apply(y)
        (y * z).sum().backward()
        return z is y, y, x.grad

    compare(program)


def test_an_input_that_is_returned_gets_a_history_of_its_own() -> None:
    def program(t: Any) -> Any:
        x = leaf(t)
        y = function(t, lambda ctx, x: x, lambda ctx, g: g * 7).apply(x)
        y.sum().backward()
        return y is x, y.is_leaf, x.grad

    compare(program)


def test_gradients_are_summed_and_cast_to_fit() -> None:
    def program(t: Any) -> Any:
        x = leaf(t, DATA[0])
        y = function(t, lambda ctx, x: x * 2, lambda ctx, g: t.ones(3, 4, dtype=t.float64)).apply(x)
        y.sum().backward()
        return x.grad, x.grad.dtype is t.float32

    compare(program)


def test_backward_may_use_autograd_itself() -> None:
    def program(t: Any) -> Any:
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return t.tanh(x).sum()

        def backward(ctx: Any, g: Any) -> Any:
            x = ctx.saved_tensors[0].detach().requires_grad_()
            with t.enable_grad():
                y = t.tanh(x).sum()
            return g * t.autograd.grad(y, x)[0]

        x = leaf(t)
        function(t, forward, backward).apply(x * 1).backward()
        return x.grad

    compare(program)


@pytest.mark.parametrize("forward, backward", [
    (lambda ctx, x: x * 2, lambda ctx, g: (g, g)),
    (lambda ctx, x: x * 2, lambda ctx, g: ()),
    (lambda ctx, x: x * 2, lambda ctx, g: (g, None, None)),
    (lambda ctx, x: x * 2, lambda ctx, g: g[0]),
    (lambda ctx, x: x * 2, lambda ctx, g: g[:, :2]),
    (lambda ctx, x: x * 2, lambda ctx, g: 3),
    (lambda ctx, x: x * 2, lambda ctx, g: None),
    (lambda ctx, x: x * 2, None),
    (lambda ctx, x: (ctx.save_for_backward(x, 3), x)[1], lambda ctx, g: g),
    (lambda ctx, x: (ctx.mark_dirty(x), x.mul_(2))[1], lambda ctx, g: g),
])
def test_messages(forward: Any, backward: Any) -> None:
    def program(t: Any) -> Any:
        x = leaf(t)
        y = function(t, forward, backward).apply(x)
        (y * 1).sum().backward()
        return "ran", x.grad if x.grad is not None else "no gradient"

    compare(program)


def test_more_messages() -> None:
    def number(t: Any) -> Any:
        function(t, lambda ctx, x, k: x * k, lambda ctx, g: (g, g)).apply(leaf(t), 2.0).sum().backward()

    def both(t: Any) -> Any:
        function(t, lambda ctx, x: x * 2, lambda ctx, g: g, vjp=lambda ctx, g: g).apply(leaf(t)).sum().backward()

    for program in (number, both, lambda t: t.autograd.Function.apply(leaf(t))):
        compare(program)


def test_vjp_is_another_name_of_backward() -> None:
    def program(t: Any) -> Any:
        x = leaf(t)
        function(t, lambda ctx, x: x * 2, vjp=lambda ctx, g: g * 9).apply(x).sum().backward()
        return x.grad

    compare(program)


def test_once_differentiable() -> None:
    def program(t: Any) -> Any:
        x = leaf(t)
        y = function(t, lambda ctx, x: x * 2, t.autograd.function.once_differentiable(lambda ctx, g: g * 2)).apply(x)
        (first,) = t.autograd.grad((y * y).sum(), x, create_graph=True)
        try:
            first.sum().backward()
        except RuntimeError as error:
            return first, str(error)
        return first, "no error"

    compare(program)


def test_no_grad_and_needs_input_grad() -> None:
    def program(t: Any) -> Any:
        seen: list[Any] = []

        def forward(ctx: Any, x: Any, y: Any, k: Any) -> Any:
            seen.extend(ctx.needs_input_grad)
            seen.append(t.is_grad_enabled())
            return x * y

        Fn = function(t, forward, lambda ctx, g: (g, None, None))
        with t.no_grad():
            quiet = Fn.apply(leaf(t), t.ones(4), 3)
        loud = Fn.apply(leaf(t), t.ones(4), 3)
        return quiet.requires_grad, loud.requires_grad, type(loud.grad_fn.name()) is str, loud.grad_fn.name(), seen

    compare(program)


def transformable(t: Any) -> Any:
    """x**2 with a gradient of 5x, in the style that torch's transforms require."""
    def setup(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.save_for_backward(*inputs)

    return function(t, lambda x: x * x, lambda ctx, g: g * 5 * ctx.saved_tensors[0], setup_context=setup,
                    generate_vmap_rule=True)


@pytest.mark.parametrize("program", [
    lambda t, f: t.func.grad(lambda x: f(x).sum())(t.tensor(DATA)),
    lambda t, f: t.func.grad(lambda x: t.func.grad(lambda y: f(y).sum())(x).sum())(t.tensor(DATA)),
    lambda t, f: t.vmap(f)(t.tensor(DATA)),
    lambda t, f: t.vmap(t.func.grad(lambda x: f(x).sum()))(t.tensor(DATA)),
    lambda t, f: t.func.grad(lambda x: t.vmap(f)(x).sum())(t.tensor(DATA)),
    lambda t, f: t.func.grad(lambda x: (t.vmap(t.vmap(f), in_dims=1)(x) ** 2).sum())(t.tensor(DATA)),
    lambda t, f: t.func.grad(lambda x: t.vmap(lambda a, b: f(b) * a, in_dims=(0, None))(t.tensor(DATA), x).sum())(
        t.tensor(DATA[0])),
])
def test_transforms(program: Any) -> None:
    compare(lambda t: program(t, transformable(t).apply))


def test_a_vmap_of_its_own() -> None:
    def program(t: Any) -> Any:
        seen: list[Any] = []

        class Fn(t.autograd.Function):  # type: ignore[misc, name-defined]
            @staticmethod
            def forward(x: Any, y: Any, k: float) -> Any:
                return x * y * k

            @staticmethod
            def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
                ctx.save_for_backward(*inputs[:2])
                ctx.k = inputs[2]

            @staticmethod
            def backward(ctx: Any, g: Any) -> Any:
                x, y = ctx.saved_tensors
                return g * y * ctx.k, (g * x * ctx.k).sum() if y.ndim == 0 else g * x * ctx.k, None

            @staticmethod
            def vmap(info: Any, in_dims: Any, x: Any, y: Any, k: float) -> Any:
                seen.extend([info.batch_size, info.randomness, *in_dims])
                return Fn.apply(x, y, k) * 10, in_dims[0]

        x, y = t.tensor(DATA), t.tensor(DATA[0])
        out = t.vmap(Fn.apply, in_dims=(0, None, None))(x, y, 2.0)
        back = t.func.grad(lambda x: t.vmap(Fn.apply, in_dims=(0, None, None))(x, y, 2.0).sum())(x)
        return out, back, seen[:5]

    compare(program)


# --- Hooks of tensors -------------------------------------------------------------------------------------------------


def test_hooks_see_and_replace_gradients() -> None:
    def program(t: Any) -> Any:
        seen: list[Any] = []
        x = leaf(t)
        y = x * 2
        z = (y * y).sum() + y.sum()  # the hook sees what comes through both uses
        y.register_hook(lambda g: seen.append(g))
        y.register_hook(lambda g: g * 10)
        x.register_hook(lambda g: g + 1)
        first = x.register_hook(lambda g: g * 100)
        last = x.register_hook(lambda g: seen.append(g))
        first.remove()
        first.remove()
        z.backward(retain_graph=True)
        with last:
            pass
        (dx,) = t.autograd.grad(z, x, retain_graph=True)
        (dy,) = t.autograd.grad(z, y)
        return seen, x.grad, dx, dy

    compare(program)


def test_hooks_with_create_graph_and_views() -> None:
    def program(t: Any) -> Any:
        x = leaf(t)
        row = (x * x)[1]
        row.register_hook(lambda g: g * g)
        (dx,) = t.autograd.grad((row ** 3).sum(), x, create_graph=True)
        dx.sum().backward()
        return dx, x.grad

    compare(program)


def test_post_accumulate_hooks() -> None:
    def program(t: Any) -> Any:
        x = leaf(t)
        seen: list[Any] = []

        def update(p: Any) -> None:
            seen.append(p.grad.clone())
            seen.append(t.is_grad_enabled())
            with t.no_grad():
                p.sub_(p.grad)
            p.grad = None

        handle = x.register_post_accumulate_grad_hook(update)
        (x * x).sum().backward()
        (x * 3).sum().backward()
        handle.remove()
        (x * 5).sum().backward()
        return seen, x, x.grad

    compare(program)


def test_retain_grad_comes_after_hooks_and_follows_what_is_written_in_place() -> None:
    def program(t: Any) -> Any:
        x = leaf(t)
        y = x * 2
        y.retain_grad()
        y.register_hook(lambda g: g * 3)
        flags = [y.retains_grad, x.retains_grad, y.is_leaf]
        (y ** 2).sum().backward()
        z = x * 2
        z.retain_grad()
        z.mul_(5)
        (z * 7).sum().backward()
        return flags, y.grad, z.grad, x.grad

    compare(program)


def test_hook_messages() -> None:
    def hooked(t: Any, hook: Any) -> Any:
        x = leaf(t)
        x.register_hook(hook)
        (x * 2).sum().backward()
        return x.grad

    compare(lambda t: t.ones(2).register_hook(print))
    compare(lambda t: t.ones(2).register_post_accumulate_grad_hook(print))
    compare(lambda t: (leaf(t) * 2).register_post_accumulate_grad_hook(print))
    compare(lambda t: t.ones(2).retain_grad())
    compare(lambda t: hooked(t, lambda g: 3))
    compare(lambda t: hooked(t, lambda g: g[0]))


# --- Hooks of modules -------------------------------------------------------------------------------------------------


class Recorder:
    """Hooks that note what they get, and answer with `change` of it."""

    def __init__(self, change: Callable[[Any], Any] | None = None) -> None:
        self.seen: list[Any] = []
        self.change = change

    def pre(self, module: Any, grad_output: Any) -> Any:
        self.seen += ["pre", *(g if g is None else g.clone() for g in grad_output)]
        return self.change and tuple(g if g is None else self.change(g) for g in grad_output)

    def post(self, module: Any, grad_input: Any, grad_output: Any) -> Any:
        self.seen += ["post", *(g if g is None else g.clone() for g in (*grad_input, *grad_output))]
        return self.change and tuple(g if g is None else self.change(g) for g in grad_input)


def two_results(t: Any) -> Any:
    class Two(t.nn.Module):  # type: ignore[misc, name-defined]
        def forward(self, x: Any, y: Any, k: Any) -> Any:
            return x * y * k, "text", x + y, y * 2

    return Two()


@pytest.mark.parametrize("change", [None, lambda g: g * 2])
def test_module_hooks(change: Any) -> None:
    def program(t: Any) -> Any:
        module, hooks = two_results(t), Recorder(change)
        module.register_full_backward_hook(hooks.post)
        removed = module.register_full_backward_hook(lambda *args: 1 / 0)
        module.register_full_backward_pre_hook(hooks.pre)
        removed.remove()
        x, y = leaf(t), leaf(t, DATA[0])
        out = module(x * 1, y * 1, 3.0)
        (out[0].sum() + out[2].sum() * 2).backward()
        constant = module(x * 1, t.ones(4), 2.0)
        constant[0].sum().backward()
        return hooks.seen, x.grad, y.grad

    compare(program)


def test_module_hooks_without_inputs_that_require_grad() -> None:
    def program(t: Any, answer: Any) -> Any:
        layer = t.nn.Linear(4, 2)
        t.nn.init.constant_(layer.weight, 0.5)
        t.nn.init.constant_(layer.bias, 0.5)
        seen: list[Any] = []
        layer.register_full_backward_hook(lambda module, i, o: (seen.append([*i, *o]), answer)[1])
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            layer(t.tensor(DATA)).sum().backward()
        return seen, layer.weight.grad, [str(w.message).split(". See")[0] for w in caught]

    compare(lambda t: program(t, None))
    compare(lambda t: program(t, (None,)))
    compare(lambda t: program(t, (3,)))


def test_module_hook_messages() -> None:
    def program(t: Any, pre: Any, post: Any) -> Any:
        module = t.nn.Tanh()
        if pre:
            module.register_full_backward_pre_hook(pre)
        if post:
            module.register_full_backward_hook(post)
        x = leaf(t)
        module(x * 1).sum().backward()
        return x.grad

    compare(lambda t: program(t, lambda m, o: (o[0], o[0]), None))
    compare(lambda t: program(t, None, lambda m, i, o: (i[0], o[0])))
    compare(lambda t: program(t, lambda m, o: (o[0] * 3,), lambda m, i, o: [i[0] * 2]))
    compare(lambda t: program(t, lambda m, o: o[0] * 3, None))
    compare(lambda t: program(t, None, lambda m, i, o: i[0] * 3))


def test_hooks_of_nested_modules_run_in_order() -> None:
    def program(t: Any) -> Any:
        model = t.nn.Sequential(t.nn.Tanh(), t.nn.Sequential(t.nn.ReLU(), t.nn.Sigmoid()))
        order: list[str] = []
        for name, module in model.named_modules():
            module.register_full_backward_hook(lambda m, i, o, name=name: order.append(f"post {name}"))
            module.register_full_backward_pre_hook(lambda m, o, name=name: order.append(f"pre {name}"))
        model(leaf(t) * 1).sum().backward()
        return order

    compare(program)


# --- Anomaly detection ------------------------------------------------------------------------------------------------


def nan_message(t: Any, program: Callable[[Any], Any]) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with t.autograd.detect_anomaly(), pytest.raises(RuntimeError) as caught:
            program(t)
    return str(caught.value)


@pytest.mark.parametrize("program", [
    lambda t: (t.zeros(2, requires_grad=True).sqrt() * 0).sum().backward(),
    lambda t: (t.zeros(2, requires_grad=True).log() * 0).sum().backward(),
    lambda t: function(t, lambda ctx, x: x * 2, lambda ctx, g: g * float("nan")).apply(leaf(t)).sum().backward(),
])
def test_anomalies_are_named_in_torchs_words(program: Any) -> None:
    theirs, ours = (nan_message(t, program) for t in LIBRARIES)
    assert ours.startswith(theirs)
    assert "test_function_and_hooks.py:" in ours


def test_anomaly_mode_is_on_in_its_block_only() -> None:
    def program(t: Any) -> Any:
        found = [t.is_anomaly_enabled()]
        with t.autograd.set_detect_anomaly(True):
            found.append(t.is_anomaly_enabled())
            with t.autograd.set_detect_anomaly(False):
                found.append(t.is_anomaly_enabled())
        with t.autograd.set_detect_anomaly(True, check_nan=False):
            x = t.zeros(2, requires_grad=True)
            (x.sqrt() * 0).sum().backward()
        found.append(t.is_anomaly_enabled())
        return found, x.grad.isnan()

    compare(program)


def test_the_warning_of_detect_anomaly() -> None:
    texts = []
    for t in LIBRARIES:
        with pytest.warns(UserWarning, match="Anomaly") as caught, t.autograd.detect_anomaly():
            leaf(t).sum().backward()
        texts.append(str(caught[0].message))
    assert texts[0] == texts[1]
