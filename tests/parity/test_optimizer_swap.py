"""An optimizer on other parameters and state for a while, against torch."""

import copy

import pytest

torch = pytest.importorskip("torch")

import flambeau as fb  # noqa: E402


def prepared(lib):
    w = lib.tensor([1.0, 2.0], requires_grad=True)
    optimizer = lib.optim.Adam([w], lr=0.1)
    w.grad = lib.tensor([0.5, -1.0])
    optimizer.step()
    return w, optimizer


def test_steps_inside_reach_what_was_given_and_nothing_else():
    found = []
    for lib in (fb, torch):
        w, optimizer = prepared(lib)
        other = lib.tensor([5.0, 6.0], requires_grad=True)
        other.grad = lib.tensor([1.0, 2.0])
        saved = copy.deepcopy(optimizer.state_dict())
        saved["param_groups"][0]["lr"] = 0.5
        params = optimizer.param_groups[0]["params"]
        with lib.optim.swap_in_optimizer_params_and_state(optimizer, {"w": other}, saved):
            optimizer.step()
            inside = optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["params"][0] is other
        assert optimizer.param_groups[0]["params"][0] is params[0] is w
        optimizer.step()
        found.append([x.tolist() for x in (w, other, saved["state"][0]["exp_avg"])] + [inside, optimizer.param_groups[0]["lr"]])
    assert found[0][:3] == [pytest.approx(x, rel=1e-5) for x in found[1][:3]] and found[0][3:] == found[1][3:]


def changed(saved, **entries):
    return {**saved, **entries}


@pytest.mark.parametrize("edit", [
    lambda t, s: 3, lambda t, s: changed(s, state=[]), lambda t, s: changed(s, state={t.ones(1): {}}),
    lambda t, s: changed(s, state={0: 1}), lambda t, s: changed(s, state={7: {}}), lambda t, s: changed(s, param_groups={}),
    lambda t, s: changed(s, param_groups=[]), lambda t, s: changed(s, param_groups=[3]),
    lambda t, s: changed(s, param_groups=[{"params": ["w"]}]), lambda t, s: changed(s, param_groups=[{"params": [0, 1]}]),
    lambda t, s: changed(s, param_groups=[{"params": [0], "more": 1}]),
])
def test_errors_are_torchs(edit):
    texts = []
    for lib in (torch, fb):
        w, optimizer = prepared(lib)
        given = edit(lib, optimizer.state_dict())
        with pytest.raises(RuntimeError) as told, lib.optim.swap_in_optimizer_params_and_state(optimizer, {"w": w}, given):
            pass
        texts.append(str(told.value))
    assert texts[0] == texts[1]


def test_too_few_parameters_and_no_state():
    for lib in (torch, fb):
        w, optimizer = prepared(lib)
        fresh = lib.optim.Adam([w])
        for made, message in ((optimizer, "to match optimizer.param_groups ordering"), (fresh, "requires initialized")):
            with (pytest.raises(RuntimeError, match=message),
                  lib.optim.swap_in_optimizer_params_and_state(made, {}, optimizer.state_dict())):
                pass
