"""Whole modules, optimizers and other objects in files: ours, and those that torch wrote, with `weights_only=False`."""

from __future__ import annotations

import copy
import io
import pickle
import warnings
from pathlib import Path
from typing import Any

import pytest

import flambeau

torch = pytest.importorskip("torch")

from ..engines import on_numpy  # noqa: E402
from .test_module_db import MODULES, leaves, make, same, samples  # noqa: E402
from .test_torch_files import FORMS, bytes_of, plain  # noqa: E402


def trusted(file: Any, library: Any = flambeau) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return library.load(file, weights_only=False)


def there_and_back(obj: Any, zipped: bool = True, library: Any = flambeau) -> Any:
    """What is loaded here of what a library saved."""
    return trusted(bytes_of(library, obj, zipped))


# --- Layers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("info", MODULES, ids=lambda info: info.name)
def test_a_layer_of_torchs_and_one_of_ours_are_loaded_whole(info: Any) -> None:
    sample = samples(info, False, 1)[0]
    with on_numpy(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mine, yours, (args, kwargs), (their_args, their_kwargs) = make(info, sample, False)
        if "Fractional" in info.name:
            return  # random
        expected = leaves(yours(*their_args, **their_kwargs))
        for loaded in (there_and_back(yours, library=torch), there_and_back(mine)):
            assert type(loaded) is type(mine) and repr(loaded) == repr(mine)
            assert list(loaded.state_dict()) == list(mine.state_dict())
            found = leaves(loaded(*args, **kwargs))
            assert len(found) == len(expected)
            for i, (a, b) in enumerate(zip(found, expected)):
                same(a, b, f"output {i}")
            copy.deepcopy(loaded).train().to(flambeau.float64)


class Net(flambeau.nn.Module):
    """A model as users write one: tied weights, a buffer, a hook, things of Python."""

    def __init__(self) -> None:
        super().__init__()
        self.body = flambeau.nn.Sequential(flambeau.nn.Linear(3, 3), flambeau.nn.BatchNorm1d(3))
        self.tied = self.body[0]
        self.register_buffer("mask", flambeau.ones(3), persistent=False)
        self.body[0].weight.requires_grad_(False)
        self.options = {"depth": 2, "half": flambeau.float16, "row": self.body[0].weight.detach()[0]}
        self.body.register_forward_hook(doubled)

    def forward(self, x: Any) -> Any:
        return self.body(x) * self.mask


def doubled(module: Any, args: Any, output: Any) -> Any:
    return output * 2


def hooked(t: Any) -> Any:
    """A model of either library, with hooks of most kinds."""
    body = t.nn.Sequential(t.nn.Linear(3, 3), t.nn.BatchNorm1d(3))
    body.register_forward_hook(with_words, with_kwargs=True)
    body.register_forward_pre_hook(halved)
    body.register_full_backward_hook(noted)
    body.register_state_dict_post_hook(marked)
    body.register_load_state_dict_pre_hook(unmarked)
    return body


def with_words(module: Any, args: Any, kwargs: Any, output: Any) -> Any:
    return output * (2 + len(kwargs))


def halved(module: Any, args: Any) -> Any:
    return args[0] / 2


seen: list[int] = []


def noted(module: Any, grad_input: Any, grad_output: Any) -> None:
    seen.append(len(grad_output))


def marked(module: Any, state: Any, prefix: str, metadata: Any) -> None:
    state[prefix + "mark"] = 1


def unmarked(module: Any, state: Any, prefix: str, *rest: Any) -> None:
    state.pop(prefix + "mark", None)


@FORMS
def test_a_model_of_the_users(zipped: bool) -> None:
    model = Net().eval()
    x = flambeau.randn(4, 3)
    loaded = there_and_back(model, zipped)
    assert type(loaded) is Net and not loaded.training and loaded.tied is loaded.body[0]
    assert [(n, p.requires_grad) for n, p in loaded.named_parameters()] == [(n, p.requires_grad) for n, p in
                                                                            model.named_parameters()]
    assert isinstance(loaded.body[0].bias, flambeau.nn.Parameter) and list(loaded.state_dict()) == list(model.state_dict())
    assert flambeau.equal(loaded(x), model(x)) and not flambeau.equal(loaded(x), loaded.body[1](loaded.body[0](x)))
    with flambeau.no_grad():
        loaded.body[0].weight[0] = 7
    assert loaded.options["row"].tolist() == [7, 7, 7] and loaded.options["half"] is flambeau.float16
    assert flambeau.jit(loaded)(x).shape == (4, 3)


@pytest.mark.parametrize("wrote", [torch, flambeau])
def test_hooks_are_kept(wrote: Any) -> None:
    theirs = hooked(torch)
    expected = theirs(torch.ones(4, 3))
    loaded = there_and_back(theirs if wrote is torch else hooked(flambeau), library=wrote)
    seen.clear()
    result = loaded(flambeau.ones(4, 3, requires_grad=True))
    result.sum().backward()
    assert seen == [1] and list(loaded.state_dict()) == list(theirs.state_dict())
    loaded.load_state_dict(loaded.state_dict())
    if wrote is torch:
        same(result, expected, "output")


@pytest.mark.parametrize("make", [
    lambda t, p: t.optim.SGD(p, 0.1, momentum=0.9), lambda t, p: t.optim.Adam(p, 0.1, amsgrad=True),
    lambda t, p: t.optim.AdamW([{"params": list(p), "lr": 0.2}]), lambda t, p: t.optim.RMSprop(p),
    lambda t, p: t.optim.Adagrad(p),
    lambda t, p: t.optim.NAdam(p), lambda t, p: t.optim.Adamax(p), lambda t, p: t.optim.Rprop(p)])
@pytest.mark.parametrize("started", [True, False])
@pytest.mark.filterwarnings("ignore:Seems like `optimizer.step")
@FORMS
def test_an_optimizer_goes_on(make: Any, started: bool, zipped: bool) -> None:
    """Saved together with its model, and its schedule, by either library: another step gives torch's numbers."""
    with on_numpy():
        numbers_after(make, started, zipped)


def numbers_after(make: Any, started: bool, zipped: bool) -> None:
    weights = torch.randn(1, 3)
    after = []
    for wrote, reads in ((torch, torch), (torch, flambeau), (flambeau, flambeau)):
        model = wrote.nn.Linear(3, 1)
        with wrote.no_grad():
            model.weight.copy_(wrote.tensor(weights.numpy()))
            model.bias.zero_()
        optimizer = make(wrote, model.parameters())
        schedule = wrote.optim.lr_scheduler.StepLR(optimizer, 1)
        if started:
            stepped(wrote, model, optimizer, schedule)
        file = bytes_of(wrote, {"all": [model, optimizer, schedule]}, zipped)
        again = trusted(file, reads)["all"]
        assert again[1].param_groups[0]["params"][0] is again[0].weight and again[2].optimizer is again[1]
        for _ in range(2):
            stepped(reads, *again)
        after.append([again[0].weight.tolist(), again[0].bias.tolist(), again[1].param_groups[0]["lr"]])
    for found in after[1:]:
        torch.testing.assert_close(found, after[0])


def stepped(library: Any, model: Any, optimizer: Any, schedule: Any) -> None:
    optimizer.zero_grad()
    model(library.ones(2, 3)).pow(2).sum().backward()
    optimizer.step()
    schedule.step()


# --- Other objects ----------------------------------------------------------------------------------------------------


class Point:
    """Holds tensors, two of them in one memory."""

    def __init__(self) -> None:
        self.x = flambeau.arange(6.0)
        self.part = self.x[2:4]
        self.again = [self.x, {"x": self.x}]


class Marked(flambeau.Tensor):
    """A class of tensors."""


def doubling(x: Any) -> Any:
    return x * 2


@FORMS
def test_an_object_that_holds_tensors(zipped: bool) -> None:
    point = Point()
    file = bytes_of(flambeau, point, zipped)
    with pytest.raises(pickle.UnpicklingError, match=r"GLOBAL .*Point was not an allowed global.*add_safe_globals\(\[Point\]\)"):
        flambeau.load(file)
    file.seek(0)
    with flambeau.serialization.safe_globals([Point]):
        allowed = flambeau.load(file)
    for loaded in (allowed, there_and_back(point, zipped)):
        loaded.x[2] = 9
        assert loaded.part.tolist() == [9, 3] and loaded.again[0] is loaded.again[1]["x"] is loaded.x
    assert point.part.tolist() == [2, 3]


@FORMS
def test_a_class_of_tensors(zipped: bool) -> None:
    x: Any = Marked([0.0, 1.0, 2.0])
    x.label, x._private = "a", [1]
    x.requires_grad_()
    file = bytes_of(flambeau, [x, x.detach()], zipped)
    with pytest.raises(pickle.UnpicklingError, match=r"GLOBAL .*Marked was not an allowed global"):
        flambeau.load(file)
    file.seek(0)
    with flambeau.serialization.safe_globals([Marked]):
        allowed = flambeau.load(file)[0]
    for loaded in (allowed, there_and_back(x, zipped)):
        assert type(loaded) is Marked and loaded.tolist() == [0, 1, 2] and loaded.requires_grad
        assert (loaded.label, loaded._private) == ("a", [1])


@FORMS
def test_data_sets_and_what_else_there_is(zipped: bool) -> None:
    data = flambeau.utils.data
    x, y = flambeau.arange(6.0).view(3, 2), flambeau.arange(3)
    whole = data.TensorDataset(x, y)
    loaded = there_and_back([whole, data.Subset(whole, [0, 2]), data.ConcatDataset([whole, whole]), doubling,
                             flambeau.distributions.Normal(x, 1.0), flambeau.nn.utils.rnn.pack_sequence([y, y[:2]]),
                             flambeau.nn.ParameterDict({"a": flambeau.ones(2)}), flambeau.nn.LazyLinear(2)], zipped)
    assert loaded[0].tensors[0].tolist() == x.tolist() and loaded[1].dataset is loaded[0]
    assert [part.tolist() for part in loaded[2][4]] == [[2, 3], 1] and loaded[3] is doubling
    assert loaded[4].mean.tolist() == x.tolist() and loaded[5].batch_sizes.tolist() == [2, 2, 1]
    assert loaded[6]["a"].requires_grad and loaded[7](flambeau.ones(1, 4)).shape == (1, 2)


@FORMS
def test_what_torch_allows_loads_there(zipped: bool) -> None:
    made: list[Any] = [flambeau.nn.Parameter(flambeau.ones(2)), {"w": flambeau.nn.Linear(2, 1).weight},
                       flambeau.nn.Linear(1, 1).state_dict()]
    for obj in made:
        assert plain(torch.load(bytes_of(flambeau, obj, zipped))) == plain(obj)
    file = io.BytesIO()
    flambeau.save(made[0], file)
    file.seek(0)
    assert isinstance(torch.load(file), torch.nn.Parameter)


def test_a_model_that_cannot_be_saved_leaves_the_file(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    model = flambeau.nn.Linear(1, 1)
    flambeau.save(model, path)
    before = path.read_bytes()
    model.register_forward_hook(lambda *given: None)
    with pytest.raises((AttributeError, pickle.PicklingError)):
        flambeau.save(model, path)
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["model.pt"]


def test_nothing_to_load(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    for empty in (io.BytesIO(), tmp_path / "empty"):
        for library in (torch, flambeau):
            with pytest.raises(EOFError):
                library.load(empty)
