"""torch's record of optimizers: every configuration of every class, lazily and inside one jitted step, against torch."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import flambeau as fb  # noqa: E402
from flambeau.tracer.ir.errors import TraceError  # noqa: E402

from .optimizer_record import OptimizerErrorEnum, optim_db  # noqa: E402

STEPS = 4
TOLERANCE = {"rtol": 5e-6, "atol": 5e-6}
TOLERANCES = {"Muon": {"rtol": 1e-2, "atol": 5e-3}}  # computed in bfloat16, whose sums XLA rounds in its own order
SHAPES = [(4, 3), (3,)]
MATRICES = [(4, 3), (2, 3)]


def configurations(info):
    """The options of both kinds of device, each as it is and with every choice of implementation that the class has."""
    known = {}
    for config in [*info.optim_inputs_func(device="cpu"), *info.optim_inputs_func(device="cuda")]:
        for flag in (None, *info.supported_impls):
            kwargs = {**config.kwargs, **dict.fromkeys(info.supported_impls, False)}
            if flag is not None:
                kwargs[flag] = True
            known.setdefault(f"{info.name}-{config.desc}-{flag or 'plain'}".replace(" ", "_"), (info, kwargs))
    return known


ALL = {name: case for info in optim_db for name, case in configurations(info).items()}
DENSE = {name: case for name, case in ALL.items() if not case[0].only_supports_sparse_grads}
STEPPING = {name: case for name, case in DENSE.items() if not case[0].step_requires_closure}


def ours_of(x):
    if isinstance(x, torch.Tensor):
        made = fb.tensor(x.detach().numpy() if x.dtype is not torch.bfloat16 else x.detach().float().numpy())
        return made.requires_grad_(x.requires_grad)
    if isinstance(x, dict):
        return {key: ours_of(item) for key, item in x.items()}
    return type(x)(map(ours_of, x)) if isinstance(x, (list, tuple)) else x


class Run:
    """One optimizer of one library on parameters of its own, and the step that trains them."""

    def __init__(self, lib, name, kwargs, shapes, is_leaf=True, dtype="float32"):
        random = np.random.default_rng(0)
        kind = getattr(lib, dtype)
        arrays = [random.normal(size=s) + (1j * random.normal(size=s) if "complex" in dtype else 0) for s in shapes]
        self.lib = lib
        self.params = [lib.tensor(np.asarray(a), dtype=kind).requires_grad_(is_leaf) for a in arrays]
        self.optimizer = getattr(lib.optim, name)(self.params, **kwargs)

    def gradients(self, x):
        """Gradients of a loss, or the same numbers where parameters ask for none."""
        self.optimizer.zero_grad()
        if not self.params[0].requires_grad:
            for p in self.params:
                p.grad = 2 * p.detach() * x + x.sin()
            return None
        loss = sum((p * p.conj() * x).real.sum() + (p.real * x.sin()).sum() for p in self.params)
        loss.backward()
        return loss

    def step(self, x):
        self.gradients(x)
        self.optimizer.step()

    def run(self, step=None, steps=STEPS):
        for i in range(steps):
            (step or self.step)(self.lib.tensor(np.float32(0.7 * (i + 1) % 1.3)))


def oracle_of(kwargs):
    """What torch runs on a CPU: not `capturable`, nor `foreach` with tensors as options."""
    return {**kwargs, "capturable": False, "foreach": False} if kwargs.get("capturable") else dict(kwargs)


def pair(info, kwargs, **options):
    shapes = MATRICES if info.name == "Muon" else SHAPES
    options.setdefault("is_leaf", not kwargs.get("differentiable"))
    return (Run(fb, info.name, ours_of(kwargs), shapes, **options),
            Run(torch, info.name, oracle_of(kwargs), shapes, **options))


def close(ours, theirs, name="", **tolerance):
    if not isinstance(theirs, torch.Tensor):
        assert ours == pytest.approx(theirs, **{k.replace("rtol", "rel").replace("atol", "abs"): v for k, v in tolerance.items()})
        return
    assert str(ours.dtype) == str(theirs.dtype) and tuple(ours.shape) == tuple(theirs.shape), name
    wide = torch.complex128 if theirs.is_complex() else torch.float64
    expected = theirs.detach().to(wide).numpy()
    np.testing.assert_allclose(ours.detach().numpy().astype(expected.dtype), expected, err_msg=name, **tolerance)


def check(ours, theirs, tolerance=None):
    tolerance = tolerance or TOLERANCES.get(type(theirs.optimizer).__name__, TOLERANCE)
    for i, (a, b) in enumerate(zip(ours.params, theirs.params, strict=True)):
        close(a, b, f"parameter {i}", **tolerance)
    a, b = ours.optimizer.state_dict(), theirs.optimizer.state_dict()
    assert list(a["state"]) == list(b["state"])
    for index, state in b["state"].items():
        assert list(a["state"][index]) == list(state)
        for key, value in state.items():
            close(a["state"][index][key], value, f"state {index} {key}", **tolerance)
    for one, other in zip(a["param_groups"], b["param_groups"], strict=True):
        assert list(one) == list(other)
        different = {k for k in other if not isinstance(other[k], torch.Tensor) and one[k] != other[k]}
        assert different <= {"capturable", "foreach"}


@pytest.mark.parametrize("name", STEPPING)
def test_steps_are_torchs(name, numpy_engine):
    ours, theirs = pair(*STEPPING[name])
    ours.run()
    theirs.run()
    check(ours, theirs)


@pytest.mark.parametrize("name", STEPPING)
def test_a_jitted_step_is_torchs_and_one_program(name, numpy_engine):
    jitted(*STEPPING[name])


@pytest.mark.parametrize("info", [info for info in optim_db if info.name in {case[0].name for case in STEPPING.values()}],
                         ids=lambda info: info.name)
def test_a_jitted_step_through_xla(info):
    """The configuration of each class with the most options."""
    known = [kwargs for i, kwargs in STEPPING.values() if i is info]
    jitted(info, max(known, key=lambda kwargs: sum(map(bool, kwargs.values()))))


def jitted(info, kwargs):
    ours, theirs = pair(info, kwargs)
    step = fb.jit(ours.step)
    ours.run(step)
    theirs.run()
    check(ours, theirs)
    assert step.stats.compiles == 1


# --- Each class: dtypes, groups, state, closures ----------------------------------------------------------------------

CLASSES = {info.name: info for info in optim_db if info.name in {case[0].name for case in STEPPING.values()}}


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-10), ("bfloat16", 4e-2), ("complex64", 1e-5)])
@pytest.mark.parametrize("name", CLASSES)
def test_other_dtypes(name, dtype, tolerance, numpy_engine):
    info = CLASSES[name]
    if dtype == "complex64" and not info.supports_complex:
        with pytest.raises(RuntimeError, match=f"{name} does not support complex parameters"):
            pair(info, {}, dtype=dtype)[0].run(steps=1)
        return
    ours, theirs = pair(info, {} if name in ("Rprop", "ASGD") else {"weight_decay": 0.1}, dtype=dtype)
    ours.run()
    theirs.run()
    bound = max(tolerance, TOLERANCES.get(name, TOLERANCE)["atol"] if name == "Muon" else 0)
    check(ours, theirs, {"rtol": bound, "atol": bound})


@pytest.mark.parametrize("name", CLASSES)
def test_groups_with_options_edited_between_steps(name, numpy_engine):
    def build(lib):
        made = Run(lib, name, {}, [*(MATRICES if name == "Muon" else SHAPES)])
        first, second = made.params
        made.optimizer = getattr(lib.optim, name)([{"params": [first]}, {"params": [second], "lr": 0.03}], lr=0.01)
        return made

    ours, theirs = build(fb), build(torch)
    step = fb.jit(ours.step)
    for rate in (0.02, 0.005):
        for made, by in ((ours, step), (theirs, None)):
            made.run(by, 2)
            made.optimizer.param_groups[0]["lr"] = rate
    check(ours, theirs)
    assert step.stats.compiles == 1


@pytest.mark.parametrize("name", CLASSES)
def test_torchs_state_dict_is_loaded_and_ours_goes_back(name, numpy_engine):
    theirs = pair(CLASSES[name], {})[1]
    theirs.run()
    again, ahead = pair(CLASSES[name], {"lr": 0.5})
    with fb.no_grad(), torch.no_grad():
        for a, b, c in zip(again.params, ahead.params, theirs.params, strict=True):
            a.copy_(fb.tensor(c.detach().numpy()))
            b.copy_(c)
    again.optimizer.load_state_dict(ours_of(theirs.optimizer.state_dict()))
    ahead.optimizer.load_state_dict(theirs_of(again.optimizer.state_dict()))
    for made in (again, ahead, theirs):
        made.run()
    check(again, theirs)
    check(again, ahead)


def theirs_of(x):
    if isinstance(x, fb.Tensor):
        return torch.tensor(x.detach().numpy())
    if isinstance(x, dict):
        return {key: theirs_of(item) for key, item in x.items()}
    return type(x)(map(theirs_of, x)) if isinstance(x, (list, tuple)) else x


@pytest.mark.parametrize("name", CLASSES)
def test_a_closure_and_a_rate_in_a_tensor(name, numpy_engine):
    ours, theirs = (Run(lib, name, {"lr": lib.tensor(0.01)}, MATRICES) for lib in (fb, torch))
    for made in (ours, theirs):
        losses = [made.optimizer.step(lambda made=made: made.gradients(made.lib.tensor(0.3))) for _ in range(3)]
        made.losses = [float(loss.detach()) for loss in losses]
    assert ours.losses == pytest.approx(theirs.losses, rel=1e-3)
    check(ours, theirs)


@pytest.mark.parametrize("name", [name for name, info in CLASSES.items() if "differentiable" in info.supported_impls])
def test_a_differentiable_step_has_torchs_gradients(name, numpy_engine):
    """Of what a loss of the parameters after two steps gives to the first parameters and gradients."""
    def gradients(lib):
        first, slope = (lib.tensor(numbers, requires_grad=True) for numbers in ([1.0, -2.0, 3.0], [0.3, 0.4, -0.5]))
        param = first.clone()
        optimizer = getattr(lib.optim, name)([param], lr=0.1, differentiable=True)
        for scale in (1.0,) if name in ("Adamax", "Rprop") else (1.0, 2.0):  # torch's own second step of these fails
            param.grad = slope * slope * scale
            optimizer.step()
        (param * lib.tensor([1.0, 2.0, 3.0])).sum().backward()
        return first.grad, slope.grad

    for ours, theirs in zip(gradients(fb), gradients(torch), strict=True):
        close(ours, theirs, **TOLERANCE)


def test_a_differentiable_step_on_a_leaf_is_torchs_error():
    for lib in (fb, torch):
        w = lib.ones(2, requires_grad=True)
        w.grad = lib.ones(2)
        with pytest.raises(RuntimeError, match="a leaf Variable that requires grad is being used in an in-place operation"):
            lib.optim.SGD([w], differentiable=True).step()


# --- Errors -----------------------------------------------------------------------------------------------------------


def wrong_inputs():
    for info in optim_db:
        for wrong in info.optim_error_inputs_func("cpu", torch.float32):
            yield pytest.param(info, wrong, id=f"{info.name}-{wrong.optimizer_error_input.desc}".replace(" ", "_"))


def has_sparse(x):
    if isinstance(x, torch.Tensor):
        return x.is_sparse
    items = x.values() if isinstance(x, dict) else x if isinstance(x, (list, tuple)) else ()
    return any(map(has_sparse, items))


def mirrored(x, known):
    """`ours_of`, with a parameter that is there twice twice."""
    if isinstance(x, torch.Tensor):
        return known.setdefault(id(x), ours_of(x))
    if isinstance(x, dict):
        return {key: mirrored(item, known) for key, item in x.items()}
    return type(x)(mirrored(item, known) for item in x) if isinstance(x, (list, tuple)) else x


def complaint(info, wrong, lib, convert):
    given = wrong.optimizer_error_input
    default = [torch.nn.Parameter(torch.ones(2, 3)) for _ in range(2)]
    params = convert(default if given.params is None else given.params)
    kind = wrong.error_type
    expects = pytest.warns if issubclass(kind, Warning) else pytest.raises
    with expects(kind, match=wrong.error_regex) as found:
        optimizer = getattr(lib.optim, info.name)(params, **convert(given.kwargs))
        if wrong.error_on == OptimizerErrorEnum.STEP_ERROR:
            for p in params:
                p.grad = lib.ones_like(p)
            optimizer.step()
    return str(found[0].message) if expects is pytest.warns else str(found.value)


@pytest.mark.parametrize(("info", "wrong"), list(wrong_inputs()))
def test_errors_are_torchs(info, wrong):
    if has_sparse(wrong.optimizer_error_input.params):
        return  # there are no sparse tensors here
    theirs = complaint(info, wrong, torch, lambda x: x)
    ours = complaint(info, wrong, fb, lambda x: mirrored(x, {}))
    assert ours == theirs.replace("torch.cuda.", "")


def test_sparse_adam_refuses_dense_gradients_as_torch_does():
    for lib in (fb, torch):
        w = lib.ones(2, requires_grad=True)
        optimizer = lib.optim.SparseAdam([w])
        assert optimizer.step() is None
        w.sum().backward()
        with pytest.raises(RuntimeError, match="SparseAdam does not support dense gradients, please consider Adam instead"):
            optimizer.step()


# --- L-BFGS: the closure is jitted, the step is not -------------------------------------------------------------------

CLOSED = {name: case for name, case in DENSE.items() if case[0].step_requires_closure}


def descend(lib, kwargs, wrap, dtype="float32"):
    """Losses and parameters of a few steps on a curved valley."""
    random = np.random.default_rng(1)
    kind = getattr(lib, dtype)
    w, b = (lib.tensor(random.normal(size=s), dtype=kind).requires_grad_() for s in ((4, 3), (3,)))
    x, y = lib.tensor(random.normal(size=(8, 4)), dtype=kind), lib.tensor(random.normal(size=(8, 3)), dtype=kind)
    optimizer = lib.optim.LBFGS([w, b], **kwargs)

    def closure():
        optimizer.zero_grad()
        difference = (x @ w + b).abs().square().real + 0.1 * (x @ w).real - y.abs()
        loss = (difference * difference).mean()
        loss.backward()
        return loss

    closure = wrap(closure)
    losses = [float(optimizer.step(closure).detach()) for _ in range(4)]
    return optimizer, closure, losses, [w, b]


@pytest.mark.parametrize("search", [None, "strong_wolfe"])
@pytest.mark.parametrize("name", CLOSED)
@pytest.mark.parametrize("is_jitted", [False, True])
def test_lbfgs_is_torchs(name, search, is_jitted, numpy_engine):
    kwargs = {"lr": 0.1 if search is None else 1.0, "max_iter": 6, **CLOSED[name][1], "line_search_fn": search}
    kwargs = {key: x.double() if isinstance(x, torch.Tensor) else x for key, x in kwargs.items()}
    theirs, _, expected, params = descend(torch, kwargs, lambda f: f, "float64")
    ours, closure, losses, found = descend(fb, ours_of(kwargs), fb.jit if is_jitted else lambda f: f, "float64")
    assert losses == pytest.approx(expected, rel=1e-9)
    for a, b in zip(found, params, strict=True):
        close(a, b, rtol=1e-8, atol=1e-8)
    a, b = (made.state_dict()["state"][0] for made in (ours, theirs))
    assert set(a) == set(b) and (a["func_evals"], a["n_iter"]) == (b["func_evals"], b["n_iter"])
    assert not is_jitted or closure.stats.compiles == 1


@pytest.mark.parametrize("search", [None, "strong_wolfe"])
def test_lbfgs_of_complex_numbers_forgets_and_is_loaded(search, numpy_engine):
    dtype = "complex128"
    kwargs = {"lr": 0.01 if search is None else 1.0, "max_iter": 8, "history_size": 5, "line_search_fn": search}
    theirs, _, expected, params = descend(torch, kwargs, lambda f: f, dtype)
    ours, _, losses, found = descend(fb, kwargs, fb.jit, dtype)
    assert losses == pytest.approx(expected, rel=1e-9)
    for a, b in zip(found, params, strict=True):
        close(a, b, rtol=1e-8, atol=1e-8)
    again = descend(torch, kwargs, lambda f: f, dtype)[0]
    again.load_state_dict(theirs_of(ours.state_dict()))
    fresh = descend(fb, kwargs, fb.jit, dtype)[0]
    fresh.load_state_dict(ours_of(theirs.state_dict()))
    assert len(fresh.state_dict()["state"][0]["old_dirs"]) == len(again.state_dict()["state"][0]["old_dirs"])


def test_lbfgs_in_a_jitted_function_says_what_to_jit():
    w = fb.ones(2, requires_grad=True)
    optimizer = fb.optim.LBFGS([w])
    with pytest.raises(TraceError, match="Jit the closure instead"):
        fb.jit(lambda: optimizer.step(lambda: (w * w).sum()))()


def test_lbfgs_through_xla_takes_at_most_three_programs():
    for search in (None, "strong_wolfe"):
        kwargs = {"lr": 0.1 if search is None else 1.0, "line_search_fn": search}
        closure, losses = descend(fb, kwargs, fb.jit)[1:3]
        expected = descend(torch, kwargs, lambda f: f)[2]
        assert losses == pytest.approx(expected, rel=2e-3) and closure.stats.compiles <= 3
