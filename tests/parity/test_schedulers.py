"""Every schedule over 100 steps, its state and what goes wrong, against torch."""

import copy
import warnings

import pytest

torch = pytest.importorskip("torch")

import flambeau as fb  # noqa: E402

from .optimizer_record import optim_db  # noqa: E402

STEPS = 100


class Halving:
    """A callable object: unlike a function it is saved."""

    def __init__(self):
        self.base = 0.99

    def __call__(self, epoch):
        return self.base**epoch


def sequence(s, o, *rest):
    first = s.LinearLR(o, 0.1, total_iters=10)
    return s.SequentialLR(o, [first, *rest], [10, 40][: len(rest)])


# By name: how it is built with the module `s` of schedules on the optimizer `o`.
SCHEDULES = {
    "LambdaLR": lambda s, o: s.LambdaLR(o, lambda epoch: 0.95**epoch),
    "LambdaLR each": lambda s, o: s.LambdaLR(o, [lambda epoch: 0.95**epoch, Halving()]),
    "MultiplicativeLR": lambda s, o: s.MultiplicativeLR(o, lambda epoch: 0.9 if epoch % 3 else 1.1),
    "MultiplicativeLR object": lambda s, o: s.MultiplicativeLR(o, [Halving(), lambda epoch: 0.99]),
    "StepLR": lambda s, o: s.StepLR(o, 7, 0.3),
    "MultiStepLR": lambda s, o: s.MultiStepLR(o, [30, 5, 30, 80], gamma=0.2),
    "ConstantLR": lambda s, o: s.ConstantLR(o, 0.25, 12),
    "ConstantLR none": lambda s, o: s.ConstantLR(o, 0.25, 0),
    "LinearLR": lambda s, o: s.LinearLR(o, 0.1, 0.9, 30),
    "ExponentialLR": lambda s, o: s.ExponentialLR(o, 0.93),
    "PolynomialLR": lambda s, o: s.PolynomialLR(o, 60, 2.0),
    "PolynomialLR default": lambda s, o: s.PolynomialLR(o),
    "CosineAnnealingLR": lambda s, o: s.CosineAnnealingLR(o, 20, 0.001),
    "CosineAnnealingLR long": lambda s, o: s.CosineAnnealingLR(o, 150),
    "CosineAnnealingWarmRestarts": lambda s, o: s.CosineAnnealingWarmRestarts(o, 10),
    "CosineAnnealingWarmRestarts doubled": lambda s, o: s.CosineAnnealingWarmRestarts(o, 5, 2, 0.0005),
    "CyclicLR": lambda s, o: s.CyclicLR(o, 0.001, 0.1, step_size_up=7),
    "CyclicLR triangular2": lambda s, o: s.CyclicLR(o, [0.001, 0.01], [0.1, 0.2], 5, 12, "triangular2", base_momentum=0.7),
    "CyclicLR exp_range": lambda s, o: s.CyclicLR(o, 0.001, 0.1, 9, mode="exp_range", gamma=0.97, cycle_momentum=False),
    "CyclicLR own": lambda s, o: s.CyclicLR(o, 0.001, 0.1, 9, scale_fn=lambda x: 0.9**x, scale_mode="iterations"),
    "CyclicLR object": lambda s, o: s.CyclicLR(o, 0.001, 0.1, 9, scale_fn=Halving()),
    "OneCycleLR": lambda s, o: s.OneCycleLR(o, 0.1, total_steps=STEPS + 1),
    "OneCycleLR linear": lambda s, o: s.OneCycleLR(o, [0.1, 0.2], epochs=20, steps_per_epoch=6, anneal_strategy="linear",
                                                   three_phase=True, cycle_momentum=False),
    "SWALR": lambda s, o: s.SWALR(o, 0.05),
    "SWALR linear": lambda s, o: s.SWALR(o, [0.05, 0.01], anneal_epochs=25, anneal_strategy="linear"),
    "SWALR at once": lambda s, o: s.SWALR(o, 0.05, anneal_epochs=0),
    "ReduceLROnPlateau": lambda s, o: s.ReduceLROnPlateau(o, patience=3, cooldown=2, factor=0.5),
    "ReduceLROnPlateau max": lambda s, o: s.ReduceLROnPlateau(o, "max", 0.3, 1, 0.1, "abs", min_lr=[1e-4, 1e-3]),
    "ChainedScheduler": lambda s, o: s.ChainedScheduler([s.ConstantLR(o, 0.1, 5), s.ExponentialLR(o, 0.95)]),
    "ChainedScheduler of three": lambda s, o: s.ChainedScheduler(
        [s.StepLR(o, 10, 0.5), s.LinearLR(o, 0.5, total_iters=20), s.MultiplicativeLR(o, lambda e: 0.99)], o),
    "SequentialLR": lambda s, o: sequence(s, o, s.ExponentialLR(o, 0.9)),
    "SequentialLR of three": lambda s, o: sequence(s, o, s.CosineAnnealingLR(o, 25), s.StepLR(o, 10)),
    "two at once": lambda s, o: Both(s.StepLR(o, 9, 0.5), s.CosineAnnealingLR(o, 33)),
    "LRScheduler of one's own": lambda s, o: own(s)(o),
}


class Both:
    """Two schedules that are stepped one after the other."""

    def __init__(self, *parts):
        self.parts = parts

    def step(self):
        for part in self.parts:
            part.step()

    def get_last_lr(self):
        return self.parts[-1].get_last_lr()

    def state_dict(self):
        return {i: part.state_dict() for i, part in enumerate(self.parts)}

    def load_state_dict(self, state):
        for i, part in enumerate(self.parts):
            part.load_state_dict(state[i])


def own(s):
    class Warmup(s.LRScheduler):
        def __init__(self, optimizer, last_epoch=-1):
            self.width = 13
            super().__init__(optimizer, last_epoch)

        def get_lr(self):
            if not self._get_lr_called_within_step:
                warnings.warn("use get_last_lr()", UserWarning, stacklevel=2)
            return [base * min(1.0, (self.last_epoch + 1) / self.width) for base in self.base_lrs]

    return Warmup


class Module:
    """All schedules of a library, those of `swa_utils` too."""

    def __init__(self, lib):
        self.__dict__.update({name: getattr(lib.optim.lr_scheduler, name) for name in dir(lib.optim.lr_scheduler)})
        self.SWALR = lib.optim.swa_utils.SWALR


def build(lib, schedule, as_tensor=False, kind="SGD"):
    rate = (lambda x: lib.tensor(x, dtype=lib.float64)) if as_tensor else float
    params = [lib.ones(2, requires_grad=True) for _ in range(2)]
    groups = [{"params": [params[0]]}, {"params": [params[1]], "lr": rate(0.02)}]
    options = {"momentum": 0.9} if kind == "SGD" else {}
    optimizer = getattr(lib.optim, kind)(groups, lr=rate(0.05), **options)
    return optimizer, SCHEDULES[schedule](Module(lib), optimizer)


def go_on(optimizer, schedule, first=0, steps=STEPS):
    """Rates, and what else a schedule changes in the groups, after each step."""
    seen = []
    for i in range(first, first + steps):
        optimizer.step()
        if "Plateau" in type(schedule).__name__:
            schedule.step((abs((i % 23) - 11) + 20.0) / (1 + i // 30))
        else:
            schedule.step()
        seen.append([float(rate) for rate in schedule.get_last_lr()])
        seen.append([float(group["lr"]) for group in optimizer.param_groups])
        seen.append([float(group[name]) for group in optimizer.param_groups for name in ("momentum",) if name in group])
        seen.append([float(x) for group in optimizer.param_groups for x in group.get("betas", ())])
    return seen


def plain(x):
    """Numbers, lists and dicts only, so that states can be compared."""
    if isinstance(x, dict):
        return {key: plain(item) for key, item in x.items()}
    if isinstance(x, (list, tuple)):
        return [plain(item) for item in x]
    return round(float(x), 10) if isinstance(x, (float, fb.Tensor, torch.Tensor)) else x


def check_states(ours, theirs):
    a, b = plain(ours.state_dict()), plain(theirs.state_dict())
    assert set(a) == set(b)
    assert a == b


@pytest.mark.parametrize("as_tensor", [False, True])
@pytest.mark.parametrize("name", SCHEDULES)
def test_a_hundred_steps_are_torchs(name, as_tensor, numpy_engine):
    ours, theirs = build(fb, name, as_tensor), build(torch, name, as_tensor)
    check_states(ours[1], theirs[1])
    expected = go_on(*theirs)
    assert all(a == pytest.approx(b, rel=1e-9, abs=1e-12) for a, b in zip(go_on(*ours), expected, strict=True))
    check_states(ours[1], theirs[1])


@pytest.mark.parametrize("name", SCHEDULES)
def test_torchs_state_is_taken_over(name, numpy_engine):
    theirs, ours = build(torch, name), build(fb, name)
    go_on(*theirs, steps=37)
    for mine, other in zip(ours[0].param_groups, theirs[0].param_groups, strict=True):
        mine.update({key: copy.deepcopy(x) for key, x in other.items() if key != "params"})
    ours[1].load_state_dict(copy.deepcopy(theirs[1].state_dict()))
    expected = go_on(*theirs, first=37, steps=30)
    assert all(a == pytest.approx(b, rel=1e-9) for a, b in zip(go_on(*ours, first=37, steps=30), expected, strict=True))


@pytest.mark.parametrize("name", ["CyclicLR", "OneCycleLR"])
def test_momentum_of_adam_is_its_first_beta(name, numpy_engine):
    expected = go_on(*build(torch, name, kind="Adam"))
    assert all(a == pytest.approx(b, rel=1e-9) for a, b in zip(go_on(*build(fb, name, kind="Adam")), expected, strict=True))


def recorded():
    return [pytest.param(info, i, id=f"{info.name}-{i}") for info in optim_db if not info.only_supports_sparse_grads
            for i in range(len(info.scheduler_inputs))]


@pytest.mark.parametrize(("info", "index"), recorded())
def test_the_records_combinations_train_as_torch(info, index, numpy_engine):
    results = []
    for lib in (fb, torch):
        w = lib.tensor([[1.0, -2.0], [0.5, 3.0]], requires_grad=True)
        optimizer = getattr(lib.optim, info.name)([w], lr=0.01)
        schedules = [rebuilt(make, lib)(optimizer) for make in info.scheduler_inputs[index]]

        def closure(w=w, optimizer=optimizer):
            optimizer.zero_grad()
            loss = (w * w).sum()
            loss.backward()
            return loss

        for _ in range(12):
            loss = optimizer.step(closure)
            for schedule in schedules:
                schedule.step(*([loss.item()] if "Plateau" in type(schedule).__name__ else []))
        results.append(w.detach().numpy().tolist())
    tolerance = 2e-2 if info.name == "Muon" else 1e-5
    assert all(a == pytest.approx(b, abs=tolerance) for a, b in zip(*results, strict=True))


def rebuilt(make, lib):
    """The record's function, with the schedules of `lib` in the place of torch's."""
    names = {**make.__globals__, **{name: getattr(lib.optim.lr_scheduler, name) for name in make.__code__.co_names
                                    if hasattr(lib.optim.lr_scheduler, name)}}
    return type(make)(make.__code__, names, make.__name__, make.__defaults__, make.__closure__)


WRONG = [
    lambda s, o: s.StepLR(3, 1),
    lambda s, o: s.LambdaLR(o, [lambda e: 1.0]),
    lambda s, o: s.MultiplicativeLR(o, [lambda e: 1.0]),
    lambda s, o: s.ConstantLR(o, 1.5),
    lambda s, o: s.LinearLR(o, 0.0),
    lambda s, o: s.LinearLR(o, 0.5, 1.5),
    lambda s, o: s.CosineAnnealingWarmRestarts(o, 0),
    lambda s, o: s.CosineAnnealingWarmRestarts(o, 5, 0),
    lambda s, o: s.CosineAnnealingWarmRestarts(o, 5).step(-1),
    lambda s, o: s.CyclicLR(o, [0.1], 0.2),
    lambda s, o: s.CyclicLR(o, 0.1, 0.2, mode="square"),
    lambda s, o: s.CyclicLR(3, 0.1, 0.2),
    lambda s, o: s.OneCycleLR(o, 0.1),
    lambda s, o: s.OneCycleLR(o, 0.1, total_steps=0),
    lambda s, o: s.OneCycleLR(o, 0.1, epochs=2, steps_per_epoch=0),
    lambda s, o: s.OneCycleLR(o, 0.1, total_steps=5, pct_start=2.0),
    lambda s, o: s.OneCycleLR(o, 0.1, total_steps=5, anneal_strategy="square"),
    lambda s, o: s.OneCycleLR(o, [0.1], total_steps=5),
    lambda s, o: s.SWALR(o, 0.1, anneal_strategy="square"),
    lambda s, o: s.SWALR(o, 0.1, anneal_epochs=-1),
    lambda s, o: s.SWALR(o, [0.1]),
    lambda s, o: s.ReduceLROnPlateau(o, factor=1.0),
    lambda s, o: s.ReduceLROnPlateau(o, mode="middle"),
    lambda s, o: s.ReduceLROnPlateau(o, threshold_mode="middle"),
    lambda s, o: s.ReduceLROnPlateau(o, min_lr=[0.1]),
    lambda s, o: s.SequentialLR(o, [], []),
    lambda s, o: s.SequentialLR(o, [s.StepLR(o, 1)], [3]),
    lambda s, o: s.SequentialLR(o, [s.ReduceLROnPlateau(o), s.StepLR(o, 1)], [3]),
    lambda s, o: s.ChainedScheduler([]),
    lambda s, o: s.ChainedScheduler([s.ReduceLROnPlateau(o)]),
    lambda s, o: s.ExponentialLR(o, 0.9, last_epoch=3),
    lambda s, o: s.LRScheduler(o),
]


@pytest.mark.parametrize("run", WRONG)
def test_errors_are_torchs(run):
    texts = []
    for lib in (torch, fb):
        optimizer = build(lib, "StepLR")[0]
        for group in optimizer.param_groups:
            del group["initial_lr"]
        with pytest.raises((ValueError, TypeError, KeyError, NotImplementedError)) as told, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            run(Module(lib), optimizer)
        texts.append((told.type, str(told.value)))
    assert texts[0][0] is texts[1][0]
    if texts[0][0] is not NotImplementedError:
        assert texts[0][1] == texts[1][1]


WARNED = [
    lambda s, o: s.StepLR(o, 3).step(),
    lambda s, o: s.StepLR(o, 3).get_lr(),
    lambda s, o: s.CyclicLR(o, 0.1, 0.2).get_lr(),
    lambda s, o: s.CosineAnnealingLR(o, 3).get_lr(),
    lambda s, o: s.SWALR(o, 0.1).get_lr(),
    lambda s, o: (o.step(), s.ExponentialLR(o, 0.5).step(3)),
]


@pytest.mark.parametrize("run", WARNED)
def test_warnings_are_torchs(run):
    texts = []
    for lib in (torch, fb):
        optimizer = lib.optim.SGD([lib.ones(2, requires_grad=True)], lr=0.5, momentum=0.5)
        with pytest.warns(UserWarning) as told:
            run(Module(lib), optimizer)
        texts.append([str(w.message) for w in told])
    assert texts[0] == texts[1]
