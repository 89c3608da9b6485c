"""Averages of models against torch's: their parameters, buffers, state and batch norms, lazily and in a compiled step."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import flambeau as fb  # noqa: E402

AVERAGES = {
    "equal": lambda u: {},
    "equal with buffers": lambda u: {"use_buffers": True},
    "swa": lambda u: {"avg_fn": u.get_swa_avg_fn()},
    "swa of lists": lambda u: {"multi_avg_fn": u.get_swa_multi_avg_fn()},
    "ema": lambda u: {"avg_fn": u.get_ema_avg_fn(0.8)},
    "ema of lists": lambda u: {"multi_avg_fn": u.get_ema_multi_avg_fn(0.8)},
    "ema with buffers": lambda u: {"multi_avg_fn": u.get_ema_multi_avg_fn(0.8), "use_buffers": True},
    "own": lambda u: {"avg_fn": lambda average, param, n: average + (param - average) / (n + 2)},
}


def model_of(lib):
    random = np.random.default_rng(0)
    model = lib.nn.Sequential(lib.nn.Linear(3, 4), lib.nn.BatchNorm1d(4), lib.nn.Linear(4, 2))
    with lib.no_grad():
        for p in model.parameters():
            p.copy_(lib.tensor(np.asarray(random.normal(size=tuple(p.shape)), "f")))
    return model


def averaged(lib, name, compiled=False):
    """After five steps of training with an update of the average in each."""
    random = np.random.default_rng(1)
    model = model_of(lib)
    optimizer = lib.optim.SGD(model.parameters(), lr=0.1)
    average = lib.optim.swa_utils.AveragedModel(model, **AVERAGES[name](lib.optim.swa_utils))

    def step(x):
        optimizer.zero_grad()
        (model(x) ** 2).mean().backward()
        optimizer.step()
        average.update_parameters(model)

    run = fb.jit(step) if compiled else step
    for _ in range(5):
        run(lib.tensor(np.asarray(random.normal(size=(6, 3)), "f")))
    assert not compiled or run.stats.compiles == 1
    return average


def equal(ours, theirs):
    assert list(ours) == list(theirs)
    for name, expected in theirs.items():
        assert str(ours[name].dtype) == str(expected.dtype), name
        np.testing.assert_allclose(ours[name].detach().numpy(), expected.detach().numpy(), rtol=2e-5, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("name", AVERAGES)
def test_averages_are_torchs(name, compiled, numpy_engine):
    equal(averaged(fb, name, compiled).state_dict(), averaged(torch, name).state_dict())


def test_an_average_is_called_as_its_model(numpy_engine):
    x = np.ones((2, 3), "f")
    ours, theirs = (averaged(lib, "equal").eval()(lib.tensor(x)) for lib in (fb, torch))
    np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), rtol=1e-4, atol=1e-5)


def test_batch_norms_are_computed_anew(numpy_engine):
    batches = [np.asarray(np.random.default_rng(i).normal(size=(5, 3)), "f") for i in range(4)]
    states = []
    for lib in (fb, torch):
        model = averaged(lib, "ema").eval()
        loader = [[lib.tensor(b), 0] if i % 2 else lib.tensor(b) for i, b in enumerate(batches)]
        lib.optim.swa_utils.update_bn(loader, model, device="cpu")
        assert not model.training and model.module[1].momentum == 0.1
        states.append(model.state_dict())
        plain = lib.nn.Linear(3, 3)
        assert lib.optim.swa_utils.update_bn(loader, plain) is None
    equal(*states)


@pytest.mark.parametrize("wrong", [
    lambda u, m: u.get_ema_avg_fn(1.5), lambda u, m: u.get_ema_multi_avg_fn(-0.1),
    lambda u, m: u.AveragedModel(m, avg_fn=u.get_ema_avg_fn(), multi_avg_fn=u.get_ema_multi_avg_fn()),
])
def test_errors_are_torchs(wrong):
    texts = []
    for lib in (torch, fb):
        with pytest.raises((ValueError, AssertionError)) as told:
            wrong(lib.optim.swa_utils, model_of(lib))
        texts.append((told.type, str(told.value)))
    assert texts[0] == texts[1]
