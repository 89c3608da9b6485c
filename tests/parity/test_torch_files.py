"""Files of torch's own, both ways: what torch writes is loaded here, what is written here torch loads with its default."""

from __future__ import annotations

import io
import pickle
import types
import warnings
import zipfile
from collections import Counter, OrderedDict
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import flambeau
from flambeau.tracer.ir.errors import CheckpointError

torch = pytest.importorskip("torch")

GPU = Path("/dev/nvidia0").exists()
FORMS = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
KINDS = [kind.name for kind in flambeau.tracer.ir.dtypes.ALL]


def plain(x: Any) -> Any:
    """What a value is, so that both libraries' compare."""
    if isinstance(x, (torch.Tensor, flambeau.Tensor)):
        bits = x.detach().resolve_conj().contiguous()
        library = torch if isinstance(x, torch.Tensor) else flambeau
        shown = bits.view(library.uint8) if "float8" in str(x.dtype) else bits
        place = "" if x.is_conj() else (tuple(x.stride()), x.storage_offset())
        kind = type(x).__name__.replace("Buffer", "Tensor")  # torch's Buffer makes plain tensors
        return kind, str(x.dtype), tuple(x.shape), place, x.requires_grad, repr(shown.tolist())
    if isinstance(x, dict):
        return type(x).__name__, [(key, plain(item)) for key, item in x.items()], plain(getattr(x, "_metadata", None))
    if isinstance(x, (list, tuple)):
        return type(x).__name__, [plain(item) for item in x]
    return repr(x) if not isinstance(x, (set, frozenset, bytearray, bytes)) else (type(x).__name__, x)


def bytes_of(library: Any, obj: Any, zipped: bool) -> io.BytesIO:
    file = io.BytesIO()
    library.save(obj, file, _use_new_zipfile_serialization=zipped)
    file.seek(0)
    return file


def tied(t: Any) -> Any:
    base = t.arange(24.0)
    return {"a": base, "again": base, "row": base[2:6], "grid": base.view(4, 6), "turned": base.view(4, 6).t(),
            "steps": base[1::3], "wide": base[:1].expand(5), "detached": base.detach()}


def trained(t: Any, make: Callable[[Any, Any], Any]) -> Any:
    model = t.nn.Sequential(t.nn.Linear(3, 4), t.nn.BatchNorm1d(4), t.nn.Linear(4, 1))
    optimizer = make(t, model.parameters())
    scheduler = t.optim.lr_scheduler.StepLR(optimizer, 2)
    for _ in range(3):
        optimizer.zero_grad()
        model(t.ones(5, 3)).sum().backward()
        optimizer.step()
        scheduler.step()
    return {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "scheduler": scheduler.state_dict(), "epoch": 3}


OBJECTS: dict[str, Callable[[Any], Any]] = {
    "tensor": lambda t: t.arange(6).view(2, 3),
    "tied": tied,
    "nested": lambda t: {"a": [1, (2.5, None, {"b": t.ones(2)})], "c": (), "d": [], "e": {}, 3: True, (1, "x"): "y", None: -1},
    "numbers": lambda t: [0, -1, 255, 256, 65536, 2**31, -2**31 - 1, 2**70, -2**70, 1e300, float("inf"), 1j, True, None],
    "texts": lambda t: ["", "äöü", "\ud800", "x" * 300, b"abc", b"x" * 300, bytearray(b"ab")],
    "containers": lambda t: [OrderedDict(b=1, a=2), {1, 2}, Counter("aab"), set(), [[[[]]]]],
    "kinds": lambda t: [t.Size([1, 2]), t.Size([]), t.device("cpu"), t.device("cuda:1"), t.float16, t.bool, t.int64],
    "parameter": lambda t: [t.nn.Parameter(t.ones(2)), t.nn.Parameter(t.ones(2), requires_grad=False)],
    "buffer": lambda t: [t.nn.Buffer(t.ones(2)), t.nn.Buffer(t.ones(1), persistent=False)],
    "leaf": lambda t: t.ones(2, requires_grad=True),
    "empty": lambda t: [t.ones(0), t.ones(2, 0, 3), t.tensor(3.0), t.ones(3)[3:]],
    "conjugate": lambda t: (t.ones(2, dtype=t.complex64) * 1j).conj(),
    "real part": lambda t: t.view_as_real(t.ones(2, dtype=t.complex64) * 1j),
    "turned": lambda t: t.arange(24).view(2, 3, 4).permute(2, 0, 1),
    "part of a conjugate": lambda t: (t.ones(2, 3, dtype=t.complex64) * 1j).conj()[1],
    "sgd": lambda t: trained(t, lambda t, p: t.optim.SGD(p, 0.1, momentum=0.9)),
    "adam": lambda t: trained(t, lambda t, p: t.optim.Adam(p, 0.1, amsgrad=True)),
    "adamw": lambda t: trained(t, lambda t, p: t.optim.AdamW(p)),
    "rmsprop": lambda t: trained(t, lambda t, p: t.optim.RMSprop(p, centered=True)),
    "adagrad": lambda t: trained(t, lambda t, p: t.optim.Adagrad(p)),
}


@FORMS
@pytest.mark.parametrize("name", OBJECTS)
def test_what_torch_writes_is_loaded(name: str, zipped: bool) -> None:
    obj = OBJECTS[name](torch)
    file = bytes_of(torch, obj, zipped)
    assert plain(flambeau.load(file)) == plain(obj)
    assert file.read() == b""


@FORMS
@pytest.mark.parametrize("name", OBJECTS)
def test_what_is_written_torch_loads(name: str, zipped: bool) -> None:
    obj = OBJECTS[name](flambeau)
    file = bytes_of(flambeau, obj, zipped)
    expected = plain(obj)
    assert plain(torch.load(file)) == expected
    file.seek(0)
    assert plain(flambeau.load(file)) == expected


@FORMS
def test_empty_bytes(zipped: bool) -> None:
    """Torch writes them as what it then refuses."""
    assert flambeau.load(bytes_of(torch, [b""], zipped)) == torch.load(bytes_of(flambeau, [b""], zipped)) == [b""]


@FORMS
@pytest.mark.parametrize("kind", KINDS)
def test_every_dtype(kind: str, zipped: bool) -> None:
    numbers = np.array([[0, 1, 2], [3, 1, 0]])
    theirs = torch.tensor(numbers).to(getattr(torch, kind))
    ours = flambeau.tensor(numbers).to(getattr(flambeau, kind))
    assert plain(flambeau.load(bytes_of(torch, theirs, zipped))) == plain(theirs)
    file = bytes_of(flambeau, ours, zipped)
    assert plain(flambeau.load(file)) == plain(ours)
    try:
        torch.load(bytes_of(torch, theirs, zipped))
    except AttributeError:
        return  # torch does not read its own old form of this dtype
    file.seek(0)
    assert plain(torch.load(file)) == plain(theirs)


@FORMS
def test_memory_that_was_shared_is_shared(zipped: bool) -> None:
    for library in (torch, flambeau):
        loaded = flambeau.load(bytes_of(library, tied(library), zipped))
        assert loaded["a"] is loaded["again"]
        loaded["a"][2] = 100
        assert loaded["row"][0] == loaded["grid"][0, 2] == loaded["turned"][2, 0] == loaded["detached"][2] == 100
        loaded["steps"][0] = -1
        assert loaded["a"][1] == -1
        again = torch.load(bytes_of(flambeau, loaded, zipped))
        again["grid"][0, 2] = 7
        assert again["a"][2] == 7


@FORMS
def test_training_goes_on(zipped: bool) -> None:
    state = flambeau.load(bytes_of(torch, OBJECTS["adam"](torch), zipped))
    model = flambeau.nn.Sequential(flambeau.nn.Linear(3, 4), flambeau.nn.BatchNorm1d(4), flambeau.nn.Linear(4, 1))
    optimizer = flambeau.optim.Adam(model.parameters(), amsgrad=True)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    model(flambeau.ones(5, 3)).sum().backward()
    optimizer.step()
    assert optimizer.state_dict()["state"][0]["step"] == 4


ENDINGS = [".pt", ".pth", ".bin", ".ckpt", ".PT", ".tar", ""]


@pytest.mark.parametrize("ending", [*ENDINGS, ".safetensors"])
def test_the_format_follows_the_name(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"run.x{ending}" if ending else tmp_path / "run"
    flambeau.save({"w": flambeau.ones(2)}, path)
    assert (path.read_bytes()[:4] == b"PK\x03\x04") == (ending in ENDINGS)
    assert flambeau.load(path)["w"].tolist() == [1, 1]
    if ending in ENDINGS:
        assert torch.load(path)["w"].tolist() == [1, 1]
        assert torch.load(path, mmap=True)["w"].tolist() == [1, 1]


def test_mapped(tmp_path: Path) -> None:
    path = tmp_path / "run.pt"
    for library in (torch, flambeau):
        library.save({"w": library.arange(5.0), "b": library.ones(2, dtype=library.bool), "n": library.ones(0)}, path)
        before = path.read_bytes()
        loaded = flambeau.load(path, mmap=True)
        assert loaded["w"].tolist() == [0, 1, 2, 3, 4] and loaded["b"].tolist() == [True, True]
        loaded["w"].mul_(2)
        loaded["w"].numpy()[0] = 9
        assert loaded["w"].tolist() == [9, 2, 4, 6, 8] and path.read_bytes() == before


def refusal(case: Callable[[Any, Any], Any], path: Path) -> Any:
    found = []
    for library in (flambeau, torch):
        with pytest.raises(Exception) as info:
            case(library, path)
        found.append((type(info.value), str(info.value)))
    return found


REFUSED: dict[str, Callable[[Any, Any], Any]] = {
    "mmap of a file object": lambda t, path: t.load(io.BytesIO(path.read_bytes()), mmap=True),
    "mmap of the old form": lambda t, path: t.load(path.with_name("old.pt"), mmap=True),
    "pickle module": lambda t, path: t.load(path, pickle_module=pickle, weights_only=True),
    "no file": lambda t, path: t.load(path.with_name("none.pt")),
}


@pytest.mark.parametrize("name", REFUSED)
def test_arguments_that_do_not_fit(name: str, tmp_path: Path) -> None:
    path = tmp_path / "run.pt"
    torch.save(torch.ones(2), path)
    torch.save(torch.ones(2), path.with_name("old.pt"), _use_new_zipfile_serialization=False)
    ours, theirs = refusal(REFUSED[name], path)
    assert ours == theirs


@pytest.mark.parametrize("place", ["cpu", torch.device("cpu"), {"cuda:0": "cpu"}, lambda storage, place: storage,
                                   lambda storage, place: storage.cpu(), flambeau.device("cpu")])
@FORMS
def test_map_location(place: Any, zipped: bool) -> None:
    file = bytes_of(torch, {"w": torch.arange(3)}, zipped)
    data = file.getvalue()
    moved = data.replace(b"X\x03\x00\x00\x00cpu", b"X\x06\x00\x00\x00cuda:0") if not zipped else _elsewhere(data)
    assert flambeau.load(io.BytesIO(moved), map_location=place)["w"].tolist() == [0, 1, 2]
    if not GPU:
        for wrong in (None, "cuda", lambda storage, place: None, lambda storage, place: storage.cuda(0)):
            with pytest.raises(RuntimeError, match="Attempting to deserialize object on a CUDA device"):
                flambeau.load(io.BytesIO(moved), map_location=wrong)


def _elsewhere(data: bytes) -> bytes:
    """The archive of a tensor, as if it had been on a GPU."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(made, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name).replace(b"X\x03\x00\x00\x00cpu", b"X\x06\x00\x00\x00cuda:0"))
    return made.getvalue()


# --- What a file may ask for ------------------------------------------------------------------------------------------


class Config:
    """A class of the user's."""

    def __init__(self, depth: int) -> None:
        self.depth = depth


@FORMS
def test_what_users_vouch_for(zipped: bool) -> None:
    for thing, allowed in (({"config": Config(3)}, Config), ([Fraction(1, 3)], Fraction), ([types.SimpleNamespace(a=1)],
                                                                                          types.SimpleNamespace)):
        data = bytes_of(torch, thing, zipped).getvalue()
        name = f"{allowed.__module__}.{allowed.__qualname__}".replace("types.", "types.")
        with pytest.raises(pickle.UnpicklingError, match=rf"(?s)GLOBAL {name} was not.*add_safe_globals\(\[{allowed.__name__}"):
            flambeau.load(io.BytesIO(data))
        with flambeau.serialization.safe_globals([allowed]):
            loaded = flambeau.load(io.BytesIO(data))
        assert repr(vars(loaded["config"]) if "config" in loaded else loaded) == repr(vars(thing["config"])
                                                                                      if "config" in thing else thing)
        assert flambeau.serialization.get_safe_globals() == []


@FORMS
def test_a_name_given_with_a_class(zipped: bool) -> None:
    data = bytes_of(torch, Config(3), zipped).getvalue()
    flambeau.serialization.add_safe_globals([(types.SimpleNamespace, f"{Config.__module__}.Config")])
    try:
        assert flambeau.load(io.BytesIO(data)).depth == 3
    finally:
        flambeau.serialization.clear_safe_globals()
    with pytest.raises(TypeError, match="pairs of one and its name"):
        flambeau.serialization.add_safe_globals([(Config, 3)])


@FORMS
def test_trusting_a_file_is_said(zipped: bool) -> None:
    file = bytes_of(torch, {"config": Config(3), "w": torch.arange(3), "n": torch.float16}, zipped)
    with pytest.warns(UserWarning, match="weights_only=False.*runs whatever code") as told:
        loaded = flambeau.load(file, weights_only=False)
    assert len(told) == 1 and told[0].filename == __file__
    assert loaded["config"].depth == 3 and loaded["w"].tolist() == [0, 1, 2] and loaded["n"] is flambeau.float16
    assert isinstance(loaded["w"], flambeau.Tensor)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = flambeau.load(bytes_of(torch, [torch.nn.functional.relu, torch.nn.Linear], zipped), weights_only=False)
        assert found == [flambeau.nn.functional.relu, flambeau.nn.Linear]
        with pytest.raises(pickle.UnpicklingError, match=r"torch\..*Mapper.*, which Flambeau does not have"):
            flambeau.load(bytes_of(torch, torch.utils.data.datapipes.iter.Mapper, zipped), weights_only=False)


@FORMS
def test_what_cannot_be_saved_leaves_the_file(tmp_path: Path, zipped: bool) -> None:
    path = tmp_path / "run.pt"
    flambeau.save(flambeau.ones(2), path)
    before = path.read_bytes()
    for bad in (lambda: 0, [flambeau.ones(2), (i for i in ())]):
        with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
            flambeau.save(bad, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match="could not save"):
        flambeau.save(flambeau.ones(2), tmp_path / "none" / "run.pt")
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["run.pt"]


def test_several_in_one_file() -> None:
    file = io.BytesIO()
    for i in range(3):
        torch.save(torch.full((2,), i), file, _use_new_zipfile_serialization=False)
    file.seek(0)
    assert [flambeau.load(file).tolist() for _ in range(3)] == [[0, 0], [1, 1], [2, 2]]
