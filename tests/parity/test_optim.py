"""Optimizers and schedules against torch's, on the same parameters and gradients."""

import copy
import pickle
import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from flambeau import optim  # noqa: E402
from flambeau.optim import lr_scheduler  # noqa: E402
from flambeau.tracer.autograd.modes import no_grad  # noqa: E402
from flambeau.tracer.functions.creation import tensor  # noqa: E402
from flambeau.tracer.ir import dtypes  # noqa: E402
from flambeau.tracer.ir.recorder import recording  # noqa: E402
from flambeau.tracer.jit.jit import jit  # noqa: E402

SHAPES = [(3, 2), (4,), (), (3, 2), (0, 2)]
CASES = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.05}),
    ("SGD", {"lr": 0.1, "weight_decay": 0.05, "maximize": True}),
    ("Adam", {}),
    ("Adam", {"lr": 0.1, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.1}),
    ("Adam", {"lr": 0.1, "amsgrad": True, "maximize": True}),
    ("Adam", {"lr": 0.1, "weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("AdamW", {"lr": 0.1}),
    ("AdamW", {"lr": 0.1, "amsgrad": True, "weight_decay": 0.3, "maximize": True}),
    ("AdamW", {"lr": 0.1, "weight_decay": 0.0}),
    ("RMSprop", {}),
    ("RMSprop", {"alpha": 0.9, "eps": 1e-4, "weight_decay": 0.1, "maximize": True}),
    ("RMSprop", {"momentum": 0.9}),
    ("RMSprop", {"momentum": 0.5, "centered": True}),
    ("Adagrad", {"lr": 0.1}),
    ("Adagrad", {"lr": 0.1, "lr_decay": 0.1, "weight_decay": 0.1, "initial_accumulator_value": 0.5, "maximize": True}),
]
FLOAT32 = {"rtol": 2e-6, "atol": 2e-6}


class Pair:
    """The same parameters in both libraries, and an optimizer on each."""

    def __init__(self, name, options, shapes=SHAPES, dtype="float32", seed=0, split=None):
        self.random = np.random.default_rng(seed)
        self.dtype = dtype
        arrays = [self.draw(shape) for shape in shapes]
        self.ours = [tensor(a, dtype=getattr(dtypes, dtype), requires_grad=True) for a in arrays]
        self.theirs = [torch.tensor(a, dtype=getattr(torch, dtype), requires_grad=True) for a in arrays]
        self.opt = getattr(optim, name)(self.groups(self.ours, split), **options)
        self.oracle = getattr(torch.optim, name)(self.groups(self.theirs, split), **options)

    def draw(self, shape):
        array = self.random.normal(size=shape)
        if self.dtype.startswith("complex"):
            array = array + 1j * self.random.normal(size=shape)
        return np.asarray(array)

    @staticmethod
    def groups(params, split):
        if split is None:
            return params
        return [{"params": params[:split]}, {"params": params[split:], "lr": 0.02, "weight_decay": 0.2}]

    def step(self, live=None):
        for i, (ours, theirs) in enumerate(zip(self.ours, self.theirs, strict=True)):
            gradient = self.draw(tuple(theirs.shape))
            ours.grad = theirs.grad = None
            if live is None or i in live:
                ours.grad = tensor(gradient, dtype=ours.dtype)
                theirs.grad = torch.tensor(gradient, dtype=theirs.dtype)
        self.opt.step()
        self.oracle.step()

    def check(self, **tolerance):
        for ours, theirs in zip(self.ours, self.theirs, strict=True):
            assert ours.grad is None or ours.requires_grad
            close(ours, theirs, **(tolerance or FLOAT32))
        ours, theirs = self.opt.state_dict(), self.oracle.state_dict()
        assert ours["param_groups"] == theirs["param_groups"]
        assert list(ours["state"]) == list(theirs["state"])
        for index, expected in theirs["state"].items():
            assert list(ours["state"][index]) == list(expected)
            for key, value in expected.items():
                close(ours["state"][index][key], value, **(tolerance or FLOAT32))


def close(ours, theirs, **tolerance):
    assert str(ours.dtype) == str(theirs.dtype) and tuple(ours.shape) == tuple(theirs.shape)
    wide = np.complex128 if theirs.is_complex() else np.float64
    expected = theirs.detach().to(torch.complex128 if theirs.is_complex() else torch.float64).numpy()
    np.testing.assert_allclose(ours.detach().numpy().astype(wide), expected, **tolerance)


def from_torch(x):
    """A torch state dict with our tensors in it."""
    if isinstance(x, torch.Tensor):
        return tensor(x.detach().numpy())
    if isinstance(x, dict):
        return {key: from_torch(item) for key, item in x.items()}
    return [from_torch(item) for item in x] if isinstance(x, list) else x


@pytest.mark.parametrize(("name", "options"), CASES)
def test_ten_steps_are_torchs(name, options):
    pair = Pair(name, options)
    pair.check()
    for _ in range(10):
        pair.step()
        pair.check()


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad"])
def test_groups_edited_options_and_missing_gradients(name):
    pair = Pair(name, {"lr": 0.05}, split=2)
    for step, live in enumerate([{0, 1, 3}, {0}, None, {1, 2}, set(), None]):
        for optimizer in (pair.opt, pair.oracle):
            optimizer.param_groups[0]["lr"] = 0.05 / (step + 1)
            optimizer.param_groups[1]["weight_decay"] = 0.1 * (step % 2)
        pair.step(live)
        pair.check()


@pytest.mark.parametrize(("name", "options"), [case for case in CASES if case[0] != "SGD"][::2] + CASES[2:4])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("bfloat16", 3e-2), ("complex64", 3e-6)])
def test_other_dtypes(name, options, dtype, tolerance):
    pair = Pair(name, options, shapes=[(3, 2), (2,)], dtype=dtype)
    for _ in range(5):
        pair.step()
    pair.check(rtol=tolerance, atol=tolerance)


def test_small_rates_of_change_survive_short_floats():
    """1 - 0.999 in bfloat16 arithmetic would be 0: updates are computed in float32."""
    pair = Pair("Adam", {"lr": 0.01}, shapes=[(64,)], dtype="bfloat16")
    for _ in range(20):
        pair.step()
    pair.check(rtol=3e-2, atol=3e-2)


def test_an_overflowed_second_moment_stays_infinite_as_in_torch():
    pair = Pair("Adam", {"lr": 0.1}, shapes=[(2,)])
    for huge in (1e30, 1.0):
        pair.ours[0].grad, pair.theirs[0].grad = tensor(np.full(2, huge, "f")), torch.full((2,), huge)
        pair.opt.step()
        pair.oracle.step()
    pair.check()
    assert np.isinf(pair.opt.state[pair.ours[0]]["exp_avg_sq"].numpy()).all()


def test_a_tensor_rate_is_read_at_each_step():
    x, y = tensor([1.0, 2.0], requires_grad=True), torch.tensor([1.0, 2.0], requires_grad=True)
    ours, theirs = optim.Adam([x], lr=tensor(0.1)), torch.optim.Adam([y], lr=torch.tensor(0.1))
    for rate in (0.1, 0.02, 0.5):
        ours.param_groups[0]["lr"].fill_(rate)
        theirs.param_groups[0]["lr"].fill_(rate)
        x.grad, y.grad = tensor([0.3, -1.0]), torch.tensor([0.3, -1.0])
        ours.step()
        theirs.step()
    close(x, y, **FLOAT32)


def test_dampening_switched_on_later_counts_the_buffer_as_started():
    pair = Pair("SGD", {"lr": 0.1, "momentum": 0.9})
    for dampening in (0, 0, 0.4, 0.4, 0, 0.2):
        for optimizer in (pair.opt, pair.oracle):
            optimizer.param_groups[0]["dampening"] = dampening
        pair.step()
        pair.check()


# --- State ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "options"), CASES)
def test_torchs_state_dict_is_taken_over(name, options):
    pair = Pair(name, options)
    for _ in range(3):
        pair.step()
    resumed = Pair(name, {**options, "lr": 0.7})
    for source, target in zip(pair.theirs, resumed.ours, strict=True):
        with no_grad():
            target.copy_(tensor(source.detach().numpy()))
    resumed.opt.load_state_dict(from_torch(pair.oracle.state_dict()))
    resumed.oracle, resumed.theirs, resumed.random = pair.oracle, pair.theirs, pair.random
    resumed.check()
    for _ in range(3):
        resumed.step()
    resumed.check()


def test_loading_copies_casts_and_keeps_the_counter_in_float32():
    source = Pair("Adam", {}, dtype="float64")
    source.step()
    saved = source.opt.state_dict()
    target = Pair("Adam", {}, dtype="bfloat16")
    target.opt.load_state_dict(saved)
    state = target.opt.state[target.ours[0]]
    assert [str(state[key].dtype) for key in state] == ["torch.float32", "torch.bfloat16", "torch.bfloat16"]
    before = source.opt.state[source.ours[0]]["exp_avg"].numpy()
    again = Pair("Adam", {}, dtype="float64")
    again.opt.load_state_dict(saved)
    again.step()
    np.testing.assert_array_equal(source.opt.state[source.ours[0]]["exp_avg"].numpy(), before)


def test_counters_are_shared_until_they_differ_and_after_loading():
    pair = Pair("Adam", {}, shapes=[(2,), (2,), (2,)])
    steps = lambda: [pair.opt.state[p]["step"] for p in pair.ours]  # noqa: E731
    pair.step()
    assert len({id(s) for s in steps()}) == 1
    pair.step(live={1})
    assert [s.item() for s in steps()] == [1, 2, 1] and len({id(s) for s in steps()}) == 2
    pair.opt.load_state_dict(pair.opt.state_dict())
    assert [s.item() for s in steps()] == [1, 2, 1] and len({id(s) for s in steps()}) == 2
    pair.step()
    pair.check()


def test_loading_other_groups_is_an_error():
    both = Pair("SGD", {"lr": 0.1}, split=2).opt.state_dict(), Pair("SGD", {"lr": 0.1}, shapes=[(2,)]).opt.state_dict()
    for saved, message in zip(both, ["different number of parameter groups", "doesn't match the size"], strict=True):
        with pytest.raises(ValueError, match=message):
            Pair("SGD", {"lr": 0.1}).opt.load_state_dict(saved)


def test_a_deep_copy_goes_on_alone():
    pair = Pair("Adam", {"lr": 0.1})
    pair.step()
    ours, theirs = copy.deepcopy((pair.ours, pair.opt)), copy.deepcopy((pair.theirs, pair.oracle))
    before = [p.detach().numpy() for p in pair.ours]
    (pair.ours, pair.opt), (pair.theirs, pair.oracle) = ours, theirs
    pair.step()
    pair.check()
    assert not np.array_equal(before[0], pair.ours[0].detach().numpy())


def test_named_parameters():
    def build(module, make):
        return module.Adam([("w", make([1.0], requires_grad=True)), ("b", make([2.0], requires_grad=True))])

    ours, theirs = build(optim, tensor), build(torch.optim, torch.tensor)
    assert ours.state_dict() == theirs.state_dict() and ours.param_groups[0]["param_names"] == ["w", "b"]
    assert repr(ours) == repr(theirs)


def test_repr_is_torchs():
    pair = Pair("AdamW", {}, split=1)
    assert repr(pair.opt) == repr(pair.oracle)


# --- Checks -----------------------------------------------------------------------------------------------------------


def leaf(make, *shape):
    return make(np.ones(shape or (2,), "f")).requires_grad_()


def same_error(run):
    """`run(module, make)` raises the same error in both libraries."""
    with pytest.raises((ValueError, TypeError, RuntimeError)) as theirs:
        run(torch.optim, torch.tensor)
    with pytest.raises(theirs.type) as ours:
        run(optim, tensor)
    return str(ours.value), str(theirs.value)


@pytest.mark.parametrize(("name", "options"), [
    ("SGD", {"lr": -1}), ("SGD", {"momentum": -0.5}), ("SGD", {"weight_decay": -1.0}), ("SGD", {"nesterov": True}),
    ("SGD", {"fused": True, "foreach": True}), ("Adam", {"lr": -1}), ("Adam", {"eps": -1}),
    ("Adam", {"betas": (1.0, 0.9)}), ("Adam", {"betas": (0.9, -0.1)}), ("AdamW", {"weight_decay": -1}),
    ("RMSprop", {"alpha": -1}), ("RMSprop", {"eps": -1}), ("RMSprop", {"momentum": -1}), ("RMSprop", {"lr": -2.5}),
    ("Adagrad", {"lr_decay": -1}), ("Adagrad", {"initial_accumulator_value": -1}), ("Adagrad", {"eps": -1}),
])
def test_invalid_options(name, options):
    ours, theirs = same_error(lambda module, make: getattr(module, name)([leaf(make)], **options))
    assert ours == theirs


@pytest.mark.parametrize("run", [
    lambda m, t: m.SGD([]),
    lambda m, t: m.SGD(iter(())),
    lambda m, t: m.SGD([leaf(t) * 2]),
    lambda m, t: m.SGD([{"params": leaf(t)}, 3]),
    lambda m, t: m.SGD([{"params": {leaf(t)}}]),
    lambda m, t: m.SGD([("a", leaf(t)), leaf(t)]),
    lambda m, t: m.SGD([{"params": [("a", leaf(t))]}, {"params": [leaf(t)]}]),
    lambda m, t: (lambda p: m.SGD([{"params": [p]}, {"params": [leaf(t), p]}]))(leaf(t)),
    lambda m, t: m.SGD([leaf(t)], lr=t([0.1, 0.2])),
])
def test_torchs_messages(run):
    ours, theirs = same_error(run)
    assert ours == theirs


def test_what_is_no_tensor_is_named():
    with pytest.raises(TypeError, match="optimizer can only optimize Tensors, but one of the params is str"):
        optim.SGD(["w"])
    with pytest.raises(TypeError, match="should be an iterable of Tensors or dicts"):
        optim.SGD(leaf(tensor))
    p = leaf(tensor)
    with pytest.warns(UserWarning, match="duplicate parameters"):
        optim.SGD([p, p])


# --- Steps, hooks, gradients ------------------------------------------------------------------------------------------


def test_closure_hooks_and_zero_grad():
    p = tensor([1.0, 2.0], requires_grad=True)
    opt, calls = optim.SGD([p], lr=0.1), []

    def closure():
        opt.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    before = opt.register_step_pre_hook(lambda o, args, kwargs: calls.append(("pre", o is opt, len(args), p.tolist())))
    opt.register_step_post_hook(lambda o, args, kwargs: calls.append(("post", o is opt, len(args), p.tolist())))
    with no_grad():
        loss = opt.step(closure)
    assert loss.item() == 5.0
    np.testing.assert_allclose(p.detach().numpy(), [0.8, 1.6], rtol=1e-6)
    assert [c[:3] for c in calls] == [("pre", True, 1), ("post", True, 1)]
    assert calls[0][3] == [1.0, 2.0] and calls[1][3] != calls[0][3]
    before.remove()
    opt.step()
    assert [c[0] for c in calls] == ["pre", "post", "post"]
    gradient = p.grad
    opt.zero_grad(set_to_none=False)
    assert p.grad is gradient and p.grad.tolist() == [0.0, 0.0]
    opt.zero_grad()
    assert p.grad is None


def test_a_pre_hook_may_change_the_arguments():
    p = tensor([1.0], requires_grad=True)
    opt = optim.SGD([p], lr=1.0)
    handle = opt.register_step_pre_hook(lambda o, args, kwargs: ((lambda: 7,), kwargs))
    assert opt.step() == 7
    handle.remove()
    opt.register_step_pre_hook(lambda o, args, kwargs: 3)
    with pytest.raises(RuntimeError, match="must return None or a tuple"):
        opt.step()


def test_an_optimizer_of_ones_own_with_only_a_step():
    class Signed(optim.Optimizer):
        def __init__(self, params, lr):
            super().__init__(params, {"lr": lr})

        @no_grad()
        def step(self, closure=None):
            for group in self.param_groups:
                for p in group["params"]:
                    p.add_(p.grad.sign(), alpha=-group["lr"])

    p, calls = tensor([1.0, -1.0], requires_grad=True), []
    opt = Signed([p], 0.5)
    opt.register_step_post_hook(lambda *_: calls.append(1))
    p.grad = tensor([3.0, -0.1])
    opt.step()
    assert p.tolist() == [0.5, -0.5] and calls == [1]


def test_the_update_of_many_parameters_is_few_nodes():
    def nodes(count):
        pair = Pair("Adam", {}, shapes=[(3, 2)] * count)
        pair.step()
        for p in pair.ours:
            p.grad = tensor(np.ones((3, 2), "f"))
        with recording() as recorder:
            pair.opt.step()
        return sum(node.op.name != "alias" for node in recorder.nodes)  # what a storage takes over costs nothing

    assert 0 < (nodes(12) - nodes(2)) / 10 <= 12


# --- In a compiled step -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "options"), [
    ("SGD", {"momentum": 0.9, "dampening": 0.1}), ("Adam", {"lr": 1}), ("AdamW", {"amsgrad": True}),
    ("RMSprop", {"momentum": 0.5, "centered": True}),
])
def test_a_schedule_compiles_once_and_loaded_state_is_seen(name, options):
    def run(compiled):
        params = [tensor([1.0, 2.0], requires_grad=True) for _ in range(2)]
        opt = getattr(optim, name)(params, **options)
        schedule = lr_scheduler.OneCycleLR(opt, 0.1, total_steps=20)

        def step(x):
            loss = (params[0] * params[1] * x).sum()
            loss.backward()
            opt.step()
            opt.zero_grad()

        run_step = jit(step) if compiled else step
        for i in range(5):
            run_step(0.5 + i)
            schedule.step()
        before = run_step.stats.compiles if compiled else 0
        opt.load_state_dict(opt.state_dict())
        opt.param_groups[0]["lr"] = 0.3
        run_step(0.1)
        return before, [p.tolist() for p in params], [s.tolist() for p in params for s in opt.state[p].values()]

    (_, *eager), (compiles, *compiled) = run(False), run(True)
    assert compiles == 1
    for ours, expected in zip(compiled, eager, strict=True):
        np.testing.assert_allclose(np.concatenate([np.ravel(x) for x in ours]),
                                   np.concatenate([np.ravel(x) for x in expected]), rtol=1e-6)


# --- Schedules --------------------------------------------------------------------------------------------------------


SCHEDULES = {
    "LambdaLR": lambda m, o: m.LambdaLR(o, lambda epoch: 0.95**epoch),
    "LambdaLR per group": lambda m, o: m.LambdaLR(o, [lambda epoch: 0.9**epoch, lambda epoch: 1 / (1 + epoch)]),
    "MultiplicativeLR": lambda m, o: m.MultiplicativeLR(o, lambda epoch: 0.9 + epoch / 1000),
    "StepLR": lambda m, o: m.StepLR(o, 7, gamma=0.5),
    "MultiStepLR": lambda m, o: m.MultiStepLR(o, [3, 10, 10, 31], gamma=0.5),
    "ConstantLR": lambda m, o: m.ConstantLR(o, factor=0.25, total_iters=9),
    "LinearLR": lambda m, o: m.LinearLR(o, start_factor=0.1, end_factor=0.8, total_iters=20),
    "ExponentialLR": lambda m, o: m.ExponentialLR(o, 0.93),
    "PolynomialLR": lambda m, o: m.PolynomialLR(o, total_iters=30, power=2.0),
    "CosineAnnealingLR": lambda m, o: m.CosineAnnealingLR(o, T_max=13, eta_min=0.001),
    "Warm restarts": lambda m, o: m.CosineAnnealingWarmRestarts(o, T_0=5, eta_min=0.001),
    "Warm restarts, growing": lambda m, o: m.CosineAnnealingWarmRestarts(o, T_0=3, T_mult=2),
    "OneCycleLR": lambda m, o: m.OneCycleLR(o, max_lr=0.5, total_steps=60),
    "OneCycleLR, three phases": lambda m, o: m.OneCycleLR(o, [0.5, 0.2], epochs=6, steps_per_epoch=10,
                                                          anneal_strategy="linear", three_phase=True),
    "OneCycleLR, momentum alone": lambda m, o: m.OneCycleLR(o, 0.5, total_steps=51, cycle_momentum=False),
    "SequentialLR": lambda m, o: m.SequentialLR(o, [m.LinearLR(o, 0.1, total_iters=5), m.CosineAnnealingLR(o, 20),
                                                    m.ExponentialLR(o, 0.9)], [6, 30]),
    "ChainedScheduler": lambda m, o: m.ChainedScheduler([m.ConstantLR(o, 0.1, 4), m.ExponentialLR(o, 0.9)]),
}


def scheduled(name, optimizer="SGD", **options):
    pair = Pair(optimizer, {"lr": 0.1, **options}, shapes=[(2,), (2,)], split=1)
    build = SCHEDULES[name]
    return pair, build(lr_scheduler, pair.opt), build(torch.optim.lr_scheduler, pair.oracle)


def options_of(optimizer):
    return [{k: v for k, v in group.items() if k != "params"} for group in optimizer.param_groups]


def same_options(ours, theirs):
    for mine, expected in zip(options_of(ours), options_of(theirs), strict=True):
        assert list(mine) == list(expected)
        for key, value in expected.items():
            assert mine[key] == (pytest.approx(value, rel=1e-12, abs=1e-15) if value is not None else None), key


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize(("optimizer", "options"), [("SGD", {"momentum": 0.9}), ("Adam", {})])
def test_fifty_steps_are_torchs(name, optimizer, options):
    pair, ours, theirs = scheduled(name, optimizer, **options)
    same_options(pair.opt, pair.oracle)
    for _ in range(50):
        pair.opt.step()
        pair.oracle.step()
        ours.step()
        theirs.step()
        same_options(pair.opt, pair.oracle)
        assert ours.get_last_lr() == pytest.approx(theirs.get_last_lr(), rel=1e-12)
        assert ours.last_epoch == theirs.last_epoch if hasattr(theirs, "last_epoch") else True


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_resumed_schedule_goes_on_the_same(name):
    pair, ours, theirs = scheduled(name, momentum=0.9)
    for _ in range(8):
        for x in (pair.opt, pair.oracle, ours, theirs):
            x.step()
    fresh, resumed, _ = scheduled(name, momentum=0.9)
    fresh.opt.load_state_dict(pair.opt.state_dict())
    resumed.load_state_dict(ours.state_dict())
    for _ in range(20):
        for x in (fresh.opt, pair.oracle, resumed, theirs):
            x.step()
        same_options(fresh.opt, pair.oracle)


@pytest.mark.parametrize("name", [n for n in SCHEDULES if not n.startswith(("Sequential", "Chained", "Warm"))])
def test_jumping_to_an_epoch(name):
    pair, ours, theirs = scheduled(name, momentum=0.9)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for epoch in (4, 10, 25, 3):
            if name != "MultiplicativeLR":
                ours.step(epoch)
                theirs.step(epoch)
                same_options(pair.opt, pair.oracle)
        ours.step()
        theirs.step()
    same_options(pair.opt, pair.oracle)


def test_warm_restarts_at_fractions():
    pair, ours, theirs = scheduled("Warm restarts, growing")
    for epoch in (0.5, 2.75, 3.0, 8.9, 9.0, 20.25, 1.5, None, None):
        ours.step(epoch)
        theirs.step(epoch)
        same_options(pair.opt, pair.oracle)


@pytest.mark.parametrize("options", [
    {}, {"mode": "max", "patience": 2}, {"threshold_mode": "abs", "threshold": 0.1, "patience": 1, "cooldown": 3},
    {"mode": "max", "threshold_mode": "abs", "patience": 0, "factor": 0.5}, {"min_lr": [0.01, 0.001], "patience": 1},
])
def test_plateau(options):
    pair = Pair("SGD", {"lr": 0.1}, shapes=[(2,), (2,)], split=1)
    ours = lr_scheduler.ReduceLROnPlateau(pair.opt, **options)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(pair.oracle, **options)
    metrics = np.random.default_rng(3).normal(size=50).cumsum() / 4
    for metric in metrics:
        ours.step(tensor(metric))
        theirs.step(torch.tensor(metric))
        same_options(pair.opt, pair.oracle)
        assert (ours.num_bad_epochs, ours.cooldown_counter) == (theirs.num_bad_epochs, theirs.cooldown_counter)
    assert ours.get_last_lr() != [0.1, 0.02] or not options


def test_a_schedule_fills_a_tensor_rate_in_place():
    opt = optim.SGD([leaf(tensor)], lr=tensor(0.5))
    rate = opt.param_groups[0]["lr"]
    schedule = lr_scheduler.ExponentialLR(opt, 0.5)
    opt.step()
    schedule.step()
    assert opt.param_groups[0]["lr"] is rate and rate.item() == 0.25
    assert opt.param_groups[0]["initial_lr"].item() == 0.5


def test_schedule_errors_and_warnings():
    opt = optim.SGD([leaf(tensor)], lr=0.1)
    for run, error, message in [
        (lambda: lr_scheduler.StepLR(3, 1), TypeError, "int is not an Optimizer"),
        (lambda: lr_scheduler.StepLR(opt, 3, last_epoch=4), KeyError, "initial_lr"),
        (lambda: lr_scheduler.LambdaLR(opt, [len, len]), ValueError, "Expected 1 lr_lambdas, but got 2"),
        (lambda: lr_scheduler.ConstantLR(opt, 2.0), ValueError, "between 0 and 1"),
        (lambda: lr_scheduler.LinearLR(opt, 0.0), ValueError, "greater than 0"),
        (lambda: lr_scheduler.OneCycleLR(opt, 0.1), ValueError, "You must define either total_steps"),
        (lambda: lr_scheduler.ReduceLROnPlateau(opt, "up"), ValueError, "mode up is unknown!"),
        (lambda: lr_scheduler.SequentialLR(opt, [], []), ValueError, "at least one scheduler"),
        (lambda: lr_scheduler.CosineAnnealingWarmRestarts(opt, 0), ValueError, "positive integer T_0"),
    ]:
        with pytest.raises(error, match=message):
            run()
    schedule = lr_scheduler.OneCycleLR(optim.Adam([leaf(tensor)]), 0.1, total_steps=2)
    with pytest.warns(UserWarning, match="before `optimizer.step"):
        schedule.step()
    schedule.step()
    with pytest.raises(ValueError, match="Tried to step 3 times"):
        schedule.step()


def test_pickling_keeps_options_and_names():
    opt = optim.Adam([leaf(tensor)], lr=0.3)
    opt.step()
    loaded = pickle.loads(pickle.dumps(opt))
    assert repr(loaded) == repr(opt) and isinstance(loaded.param_groups[0]["params"][0], type(leaf(tensor)))
    loaded.step()
