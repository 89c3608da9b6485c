"""Small modules against torch's: the orthogonal parametrization, hooks of all modules, pytrees, processes, ..."""

from __future__ import annotations

import collections
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import flambeau  # noqa: E402
import flambeau._utils  # noqa: E402
import flambeau.multiprocessing  # noqa: E402
import flambeau.quasirandom  # noqa: E402
import flambeau.utils._pytree  # noqa: E402
import flambeau.utils.hooks  # noqa: E402
import flambeau.utils.weak  # noqa: E402

BOTH = (torch, flambeau)


# --- The orthogonal parametrization -----------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(3, 3), (4, 2), (2, 4)])
@pytest.mark.parametrize("orthogonal_map", ["matrix_exp", "cayley", "householder"])
def test_an_orthogonal_weight(orthogonal_map: str, shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    made = [library.nn.utils.parametrizations.orthogonal(library.nn.Linear(*shape[::-1]), orthogonal_map=orthogonal_map)
            for library in BOTH]
    with torch.no_grad():
        made[0].parametrizations.weight.original.add_(0.2 * torch.randn(shape))
    made[1].load_state_dict({name: flambeau.tensor(x.numpy()) for name, x in made[0].state_dict().items()})
    for layer in made:
        (layer.weight ** 3).sum().backward()
    np.testing.assert_allclose(made[1].weight.detach().numpy(), made[0].weight.detach().numpy(), atol=1e-5)
    found, wanted = (layer.parametrizations.weight.original.grad.numpy() for layer in reversed(made))
    np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_an_orthogonal_weight_is_set() -> None:
    turned = np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))[0].astype(np.float32)
    for library in BOTH:
        layer = library.nn.utils.parametrizations.orthogonal(library.nn.Linear(3, 3))
        layer.weight = library.tensor(turned)
        np.testing.assert_allclose(layer.weight.detach().numpy(), turned, atol=1e-5)
        plain = library.nn.utils.parametrizations.orthogonal(library.nn.Linear(3, 4), use_trivialization=False)
        np.testing.assert_allclose((plain.weight.T @ plain.weight).detach().numpy(), np.eye(3), atol=1e-5)
        with pytest.raises(NotImplementedError, match="It is not possible to assign to the matrix exponential"):
            turning = library.nn.utils.parametrizations.orthogonal(library.nn.Linear(3, 3), orthogonal_map="cayley",
                                                                   use_trivialization=False)
            turning.weight = library.tensor(turned)
        with pytest.raises(ValueError, match="orthogonal_map has to be one of"):
            library.nn.utils.parametrizations.orthogonal(library.nn.Linear(3, 3), orthogonal_map="qr")


# --- Hooks of all modules ---------------------------------------------------------------------------------------------


def told(library: Any) -> list[Any]:
    """What hooks of all modules see of a forward, a backward and a construction."""
    seen: list[Any] = []
    hooks = library.nn.modules.module
    handles = [
        hooks.register_module_forward_pre_hook(lambda m, args: seen.append(("before", type(m).__name__))),
        hooks.register_module_forward_hook(lambda m, args, out: seen.append(("after", type(m).__name__)) or out * 2),
        hooks.register_module_full_backward_pre_hook(lambda m, g: seen.append(("pull", type(m).__name__))),
        hooks.register_module_full_backward_hook(lambda m, g, h: seen.append(("pulled", type(m).__name__))),
        hooks.register_module_parameter_registration_hook(lambda m, name, p: seen.append((name, tuple(p.shape)))),
        hooks.register_module_buffer_registration_hook(lambda m, name, b: seen.append((name, tuple(b.shape)))),
        hooks.register_module_module_registration_hook(lambda m, name, c: seen.append((name, type(c).__name__))),
    ]
    try:
        model = library.nn.Sequential(library.nn.Linear(2, 2), library.nn.BatchNorm1d(2), library.nn.Tanh())
        out = model(library.ones(2, 2, requires_grad=True))
        out.sum().backward()
    finally:
        for handle in handles:
            handle.remove()
    model(library.ones(2, 2))
    return seen


def test_hooks_of_all_modules() -> None:
    theirs, ours = told(torch), told(flambeau)
    assert ours == theirs and len(ours) > 20


def test_a_compiled_step_sees_hooks_of_all_modules() -> None:
    model = flambeau.nn.Identity()
    step = flambeau.jit(lambda x: model(x))
    assert step(flambeau.ones(1)).item() == 1
    with flambeau.nn.modules.module.register_module_forward_hook(lambda m, args, out: out + 1):
        assert step(flambeau.ones(1)).item() == 2
    assert step(flambeau.ones(1)).item() == 1


# --- Autocast for functions with gradients of their own ---------------------------------------------------------------


@pytest.mark.parametrize("cast", [None, "float32"])
def test_custom_functions_under_autocast(cast: str | None) -> None:
    seen = []
    for library in BOTH:
        kinds: list[str] = []

        class Product(library.autograd.Function):  # type: ignore[name-defined, misc]
            @staticmethod
            @library.amp.custom_fwd(device_type="cpu", cast_inputs=cast and getattr(library, cast))
            def forward(ctx: Any, x: Any, kinds: list[str] = kinds) -> Any:
                ctx.save_for_backward(x)
                kinds.append(str((x @ x).dtype))
                return x @ x

            @staticmethod
            @library.amp.custom_bwd(device_type="cpu")
            def backward(ctx: Any, g: Any, kinds: list[str] = kinds) -> Any:
                kinds.append(str((g.float() @ g.float()).dtype))
                return g.float()

        x = library.ones(2, 2, requires_grad=True)
        with library.autocast("cpu"):
            out = Product.apply(x)
        out.float().sum().backward()
        Product.apply(x)
        seen.append([*kinds, str(out.dtype)])
    assert seen[0] == seen[1]


# --- Containers, handles, sequences -----------------------------------------------------------------------------------

Point = collections.namedtuple("Point", "x y")
TREES = [3, [1, (2, [])], {"b": 1, "a": [2, 3]}, Point(1, {"k": 2}), collections.OrderedDict(z=1, y=2), collections.deque([1], 3),
         collections.defaultdict(list, {"q": 1})]


@pytest.mark.parametrize("tree", TREES, ids=repr)
def test_trees(tree: Any) -> None:
    found = []
    for library in BOTH:
        t = library.utils._pytree
        leaves, spec = t.tree_flatten(tree)
        paths = [t.keystr(path) for path, _ in t.tree_leaves_with_path(tree)]
        found.append((leaves, spec.num_leaves, spec.num_nodes, t.tree_unflatten(leaves, spec), paths,
                      t.tree_map(lambda x: -x, tree), t.tree_map_only(int, lambda x: x + 1, tree),
                      t.tree_all(bool, tree), t.tree_any(lambda x: x == 2, tree)))
    assert found[0] == found[1] and type(found[0][3]) is type(found[1][3])


def test_trees_of_own_classes_and_wrong_ones() -> None:
    class Pair:
        def __init__(self, a: Any, b: Any) -> None:
            self.a, self.b = a, b

    for library in BOTH:
        t = library.utils._pytree
        t.register_pytree_node(Pair, lambda p: ([p.a, p.b], "pair"), lambda parts, context: Pair(*parts))
        assert t.tree_map(lambda x, y: x * y, Pair(2, [3]), Pair(4, [5])).b == [15]
        with pytest.raises(ValueError, match="already registered as pytree node"):
            t.register_pytree_node(Pair, None, None)
        with pytest.raises(ValueError, match="has length 1 but the spec refers"):
            t.tree_unflatten([1], t.tree_structure([1, 2]))
        with pytest.raises(ValueError, match="mismatch"):
            t.tree_map(lambda x, y: x, [1], [1, 2])


def test_a_sobol_sequence() -> None:
    theirs, ours = (library.quasirandom.SobolEngine(5) for library in BOTH)
    np.testing.assert_array_equal(ours.draw(7).numpy(), theirs.draw(7).numpy())
    np.testing.assert_array_equal(ours.fast_forward(3).draw(4, dtype=flambeau.float64).numpy(),
                                  theirs.fast_forward(3).draw(4, dtype=torch.float64).numpy())
    assert repr(ours) == repr(theirs) and ours.num_generated == theirs.num_generated == 14
    np.testing.assert_array_equal(ours.reset().draw_base2(3).numpy(), theirs.reset().draw_base2(3).numpy())
    scrambled = flambeau.quasirandom.SobolEngine(2, scramble=True, seed=3).draw(64)
    assert abs(float(scrambled.mean()) - 0.5) < 0.02 and float(scrambled.min()) >= 0
    for library in BOTH:
        with pytest.raises(ValueError, match="Supported range of dimensionality"):
            library.quasirandom.SobolEngine(0)


def test_handles_and_weak_keys() -> None:
    for library in BOTH:
        table: Any = collections.OrderedDict()
        with library.utils.hooks.RemovableHandle(table) as handle:
            table[handle.id] = 1
        assert not table
        x = library.ones(1)
        weak = library.utils.weak.WeakTensorKeyDictionary({x: 1})
        assert weak[x] == 1 and library.ones(1) not in weak and len(weak) == 1
        del x
        assert len(weak) == 0


def test_parts_of_a_parallel_wrapper() -> None:
    scatter, gather = flambeau.nn.parallel.scatter, flambeau.nn.parallel.gather
    parts = scatter({"x": flambeau.arange(5), "n": [3]}, ["cpu", "cpu"])
    assert [part["x"].tolist() for part in parts] == [[0, 1, 2], [3, 4]] and parts[1]["n"] == [3]
    back = gather([{"x": part["x"]} for part in parts], "cpu")
    assert back["x"].tolist() == [0, 1, 2, 3, 4] and gather([flambeau.tensor(1), flambeau.tensor(2)], "cpu").tolist() == [1, 2]


def test_flat_tensors() -> None:
    for library in BOTH:
        u = library._utils
        tensors = [library.ones(2, 2), library.zeros(3)]
        flat = u._flatten_dense_tensors(tensors)
        assert flat.tolist() == [1] * 4 + [0] * 3
        assert [tuple(x.shape) for x in u._unflatten_dense_tensors(flat, tensors)] == [(2, 2), (3,)]
        assert [len(group) for group in u._take_tensors(tensors, 8)] == [1, 1]


def fails(i: int, text: str) -> None:
    if i == 1:
        raise ValueError(text)


@pytest.mark.filterwarnings("ignore:os.fork")  # of JAX's, where another test has loaded it
def test_processes_that_are_spawned_tell_their_errors() -> None:
    flambeau.multiprocessing.spawn(print, args=("",), nprocs=1, start_method="fork")
    with pytest.raises(flambeau.multiprocessing.ProcessRaisedException, match="boom") as caught:
        flambeau.multiprocessing.start_processes(fails, ("boom",), nprocs=2, start_method="fork")
    assert caught.value.error_index == 1
    with pytest.raises(flambeau.multiprocessing.ProcessExitedException, match="exit code 3"):
        flambeau.multiprocessing.start_processes(exit_with, (3,), nprocs=1, start_method="fork")


def exit_with(i: int, code: int) -> None:
    raise SystemExit(code)
