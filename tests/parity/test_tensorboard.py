"""`torch.utils.tensorboard` against torch's: the same calls, and the records that TensorBoard's own reader finds."""

from __future__ import annotations

import inspect
import io
import socket
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import flambeau

torch = pytest.importorskip("torch")
tensorboard = pytest.importorskip("tensorboard")

from google.protobuf.json_format import MessageToDict  # noqa: E402
from PIL import Image  # noqa: E402
from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader  # noqa: E402
from tensorboard.util.tensor_util import make_ndarray  # noqa: E402

LIBRARIES = {"torch": torch, "flambeau": flambeau}


def writer_of(name: str) -> Any:
    return import_module(f"{name}.utils.tensorboard").SummaryWriter


def reals(m: Any, *shape: int, seed: int = 0, kind: str = "float32") -> Any:
    return m.tensor(np.random.default_rng(seed).normal(size=shape).astype(np.float32)).to(getattr(m, kind))


def ratios(m: Any, *shape: int, seed: int = 0) -> Any:
    return m.tensor(np.random.default_rng(seed).random(size=shape).astype(np.float32))


def whole(m: Any, *shape: int) -> Any:
    return m.tensor(np.arange(np.prod(shape)).reshape(shape).astype(np.uint8))


def plain(x: Any) -> Any:
    """What a record says: without times, with pixels for a PNG file and samples for a WAV file as they are."""
    if isinstance(x, dict):
        return {key: plain(value) for key, value in x.items() if key not in ("wallTime", "sourceMetadata")}
    if isinstance(x, list):
        return [plain(e) for e in x]
    return x


def records(folder: Path) -> dict[str, list[Any]]:
    """Of each folder below, what its event files tell, in order."""
    found: dict[str, list[Any]] = {}
    for path in sorted(folder.rglob("events.out.tfevents.*")):
        for event in LegacyEventFileLoader(str(path)).Load():
            made = plain(MessageToDict(event))
            for value, shown in zip(event.summary.value, made.get("summary", {}).get("value", ())):
                if value.HasField("image"):
                    shown["image"]["encodedImageString"] = np.asarray(
                        Image.open(io.BytesIO(value.image.encoded_image_string))).tolist()
            found.setdefault(str(path.parent.relative_to(folder)), []).append(made)
    return found


def same(x: Any, y: Any, where: str = "") -> None:
    assert type(x) is type(y), (where, x, y)
    if isinstance(x, dict):
        assert x.keys() == y.keys(), (where, x.keys() ^ y.keys())
        for key in x:
            same(x[key], y[key], f"{where}.{key}")
    elif isinstance(x, list):
        assert len(x) == len(y), (where, len(x), len(y))
        for i, (a, b) in enumerate(zip(x, y)):
            same(a, b, f"{where}[{i}]")
    elif isinstance(x, float):
        np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-7, err_msg=where)
    else:
        assert x == y, where


Call = Callable[[Any, Any], Any]
CALLS: dict[str, Call] = {
    "scalar": lambda w, m: w.add_scalar("loss", 0.25, 3),
    "scalar of a tensor": lambda w, m: w.add_scalar("loss", m.tensor(0.25), m.tensor(3)),
    "scalar of a tensor with a gradient": lambda w, m: w.add_scalar("l", (m.ones(1, requires_grad=True) * 2).sum(), 0),
    "scalar of one in dimensions": lambda w, m: w.add_scalar("loss", m.full((1, 1), 2.5)),
    "scalar of bfloat16": lambda w, m: w.add_scalar("loss", m.tensor(1.5, dtype=m.bfloat16), 1),
    "scalar of an int, an array, a bool": lambda w, m: [w.add_scalar("n", x, 1) for x in (7, np.float64(2), np.ones(1), True,
                                                                                         m.tensor(9))],
    "scalar of no number": lambda w, m: [w.add_scalar("n", x, 1) for x in (float("nan"), float("inf"))],
    "scalar of the new style": lambda w, m: [w.add_scalar("x", 0.1, 1, new_style=True, double_precision=d) for d in (0, 1)],
    "scalar at a time": lambda w, m: w.add_scalar("x", 1.0, 2, 1234.5),
    "scalars": lambda w, m: [w.add_scalars("run/a", {"x": i, "y": m.tensor(2.0 * i)}, i) for i in range(3)],
    "text": lambda w, m: w.add_text("note", "# Größe\nof *text*", 4),
    "histogram": lambda w, m: w.add_histogram("h", reals(m, 50, 4), 1),
    "histogram of numbers far apart": lambda w, m: w.add_histogram("h", m.tensor([0.0, 1e-30, -1e15, 3.0, 3.0])),
    "histogram of one number": lambda w, m: w.add_histogram("h", m.zeros(3)),
    "histogram of ints": lambda w, m: w.add_histogram("h", m.arange(10)),
    "histogram of an array": lambda w, m: w.add_histogram("h", np.arange(10.0)),
    "histogram in numpy's bins": lambda w, m: w.add_histogram("h", reals(m, 100), 1, bins="auto"),
    "histogram in bins of ours": lambda w, m: w.add_histogram("h", reals(m, 100), 1, bins=[-1, 0, 0.5, 4]),
    "histogram in few bins": lambda w, m: [w.add_histogram("h", reals(m, 100), 1, bins=64, max_bins=n) for n in (8, 10, 64, 7)],
    "histogram of bfloat16": lambda w, m: w.add_histogram("h", reals(m, 20, kind="bfloat16")),
    "histogram counted": lambda w, m: w.add_histogram_raw("h", 0, 3, 4, 6, 14, [1, 2, 3], [1, 2, 1], 1),
    "image": lambda w, m: w.add_image("i", ratios(m, 3, 4, 5), 1),
    "image of bytes": lambda w, m: w.add_image("i", whole(m, 3, 4, 5), 1),
    "image in grey": lambda w, m: w.add_image("i", ratios(m, 1, 4, 5)),
    "image of two dimensions": lambda w, m: w.add_image("i", ratios(m, 4, 5), dataformats="HW"),
    "image of channels last": lambda w, m: w.add_image("i", ratios(m, 4, 5, 3), dataformats="HWC"),
    "image with alpha": lambda w, m: w.add_image("i", ratios(m, 4, 5, 6)),
    "image out of range": lambda w, m: w.add_image("i", reals(m, 3, 4, 5) * 2),
    "image of an array": lambda w, m: w.add_image("i", np.zeros((3, 2, 2))),
    "images": lambda w, m: w.add_images("i", ratios(m, 10, 3, 4, 5), 1),
    "images in grey": lambda w, m: w.add_images("i", ratios(m, 3, 1, 4, 5), 1),
    "images of channels last": lambda w, m: w.add_images("i", whole(m, 2, 4, 5, 3), dataformats="NHWC"),
    "audio": lambda w, m: w.add_audio("a", ratios(m, 1, 100) * 2 - 1, 1, 8000),
    "tensor": lambda w, m: [w.add_tensor(kind, reals(m, 2, 3).to(getattr(m, kind)), 1) for kind in (
        "float32", "float64", "int64", "int32", "int8", "int16", "bool", "complex64", "complex128")],
    "pr curve": lambda w, m: w.add_pr_curve("p", ratios(m, 50) > 0.4, ratios(m, 50, seed=1), 1),
    "pr curve with weights": lambda w, m: w.add_pr_curve("p", np.arange(9) % 2, np.linspace(0, 1, 9), 1, 20, np.arange(9.0)),
    "pr curve counted": lambda w, m: w.add_pr_curve_raw("p", *[m.arange(4.0) + i for i in range(6)], num_thresholds=4),
    "custom scalars": lambda w, m: w.add_custom_scalars({"A": {"c": ["Multiline", ["x", "y"]],
                                                                     "d": ["Margin", ["v", "l", "u"]]}}),
    "a chart of lines": lambda w, m: w.add_custom_scalars_multilinechart(["x", "y"]),
    "a chart of margins": lambda w, m: w.add_custom_scalars_marginchart(["x", "y", "z"], "A", "t"),
    "hparams": lambda w, m: w.add_hparams({"lr": 0.1, "n": 3, "name": "x", "on": True, "t": m.tensor([0.5]), "no": None},
                                          {"accuracy": m.tensor(0.9), "loss": 1}, run_name="run"),
    "hparams of some values": lambda w, m: w.add_hparams({"lr": 0.1, "o": "sgd"}, {"a": 1},
                                                         {"lr": [0.1, 0.2], "o": ["sgd"]}, "r", 3),
    "nothing": lambda w, m: None,
    "after close": lambda w, m: (w.add_scalar("x", 1.0, 0), w.close(), w.add_scalar("x", 2.0, 1)),
    "flush": lambda w, m: (w.flush(), w.add_text("a", "b"), w.flush()),
}


@pytest.mark.parametrize("name", CALLS)
def test_records(name: str, tmp_path: Path) -> None:
    for library, m in LIBRARIES.items():
        with writer_of(library)(tmp_path / library) as writer:
            CALLS[name](writer, m)
            assert writer.get_logdir() == tmp_path / library
    theirs, ours = (records(tmp_path / library) for library in LIBRARIES)
    assert theirs
    same(ours, theirs)


def test_a_step_from_which_on_others_are_hidden(tmp_path: Path) -> None:
    for library in LIBRARIES:
        with writer_of(library)(tmp_path / library, purge_step=5, filename_suffix=".end") as writer:
            writer.add_scalar("x", 1.0, 5)
        assert all(path.name.endswith(".end") for path in (tmp_path / library).iterdir())
    same(records(tmp_path / "flambeau"), records(tmp_path / "torch"))


def test_where_records_go_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for library in LIBRARIES:
        with writer_of(library)(comment="-lr") as writer:
            folder = writer.get_logdir()
        name = Path(folder).name
        assert Path(folder).parent == Path("runs") and name.endswith(f"_{socket.gethostname()}-lr") and Path(folder).is_dir()
        time.strptime(name.partition(f"_{socket.gethostname()}")[0], "%b%d_%H-%M-%S")


def test_what_a_compiled_step_returns(tmp_path: Path) -> None:
    step = flambeau.jit(lambda x: (x * 2).sum())
    with writer_of("flambeau")(tmp_path) as writer:
        for i in range(3):
            writer.add_scalar("loss", step(flambeau.full((2,), float(i))), i)
    values = [event["summary"]["value"][0] for event in records(tmp_path)["."] if "summary" in event]
    assert [value["simpleValue"] for value in values] == [0, 4, 8] and step.stats.compiles == 1


ERRORS: dict[str, Call] = {
    "two numbers": lambda w, m: w.add_scalar("x", m.ones(2)),
    "no number": lambda w, m: w.add_scalar("x", m.ones(0)),
    "a list": lambda w, m: w.add_scalar("x", [1]),
    "none": lambda w, m: w.add_histogram("x", None),
    "an empty histogram": lambda w, m: w.add_histogram("x", m.ones(0)),
    "a histogram counted badly": lambda w, m: w.add_histogram_raw("x", 0, 1, 2, 3, 4, [1], [1, 2]),
    "a picture of other dimensions": lambda w, m: w.add_image("x", m.ones(2, 2)),
    "a dimension twice": lambda w, m: w.add_image("x", m.ones(2, 2), dataformats="HH"),
    "sound of two channels": lambda w, m: w.add_audio("x", m.ones(2, 5) * 0),
    "hparams that are none": lambda w, m: w.add_hparams([], {}),
    "hparams of lists": lambda w, m: w.add_hparams({"x": [1]}, {}),
    "hparams of other values": lambda w, m: w.add_hparams({"x": 1}, {}, {"x": ["a"]}),
    "a tensor of eight bits": lambda w, m: w.add_tensor("x", m.ones(2).to(m.float8_e5m2fnuz)),
    "a chart without margins": lambda w, m: w.add_custom_scalars_marginchart(["a"]),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name: str, tmp_path: Path) -> None:
    found = []
    for library, m in LIBRARIES.items():
        with writer_of(library)(tmp_path / library) as writer, pytest.raises(Exception) as info:
            ERRORS[name](writer, m)
        found.append((info.type, str(info.value)[:20].replace("flambeau", "torch")))
    assert found[0][0] is found[1][0] and (found[0] == found[1] or found[0][0] is AssertionError)


REFUSED: dict[str, Callable[[Any], Any]] = {
    "add_graph": lambda w: w.add_graph(flambeau.nn.Linear(1, 1), flambeau.ones(1, 1)),
    "add_onnx_graph": lambda w: w.add_onnx_graph("x"), "add_embedding": lambda w: w.add_embedding(flambeau.ones(3, 2)),
    "add_video": lambda w: w.add_video("x", flambeau.ones(1, 1, 3, 4, 4)),
    "add_mesh": lambda w: w.add_mesh("x", flambeau.ones(1, 3, 3)),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_says_what_there_is(name: str, tmp_path: Path) -> None:
    text = rf"SummaryWriter\.{name} is not there"
    with writer_of("flambeau")(tmp_path) as writer, pytest.raises(NotImplementedError, match=text):
        REFUSED[name](writer)


def test_names_and_signatures_are_those_of_torch() -> None:
    theirs, ours = (import_module(f"{library}.utils.tensorboard") for library in LIBRARIES)
    assert theirs.__all__ == ours.__all__
    for kind in ("SummaryWriter", "FileWriter"):
        public = [name for name in vars(getattr(theirs, kind)) if not name.startswith("_")]
        for name in [*public, "__init__"]:
            if (kind, name) not in (("FileWriter", "add_graph"), ("FileWriter", "add_onnx_graph")):
                a, b = (inspect.signature(getattr(getattr(space, kind), name)).parameters for space in (theirs, ours))
                assert [(p.name, p.default) for p in a.values()] == [(p.name, p.default) for p in b.values()]


@pytest.mark.parametrize("kind", ["float16", "uint8", "bfloat16"])
def test_tensors_are_as_tensorboard_reads_them(kind: str, tmp_path: Path) -> None:
    """torch puts the bits of a float32 for 16, and bytes into another field."""
    with writer_of("flambeau")(tmp_path) as writer:
        writer.add_tensor("x", flambeau.tensor([[0.5, 2.0]]).to(getattr(flambeau, kind)))
    (path,) = tmp_path.iterdir()
    (held,) = [value.tensor for event in LegacyEventFileLoader(str(path)).Load() for value in event.summary.value]
    if kind == "bfloat16":  # which the reader knows no name of
        assert list(held.half_val) == [0x3F00, 0x4000] and [d.size for d in held.tensor_shape.dim] == [1, 2]
    else:
        assert make_ndarray(held).tolist() == np.array([[0.5, 2.0]]).astype(kind).tolist()


def test_frames_in_a_picture(tmp_path: Path) -> None:
    with writer_of("flambeau")(tmp_path) as writer:
        writer.add_image_with_boxes("x", flambeau.zeros(3, 6, 8), flambeau.tensor([[1, 1, 4, 3], [-5, 4, 99, 99]]), rescale=2)
        with pytest.raises(NotImplementedError, match="labels"):
            writer.add_image_with_boxes("x", flambeau.zeros(3, 6, 8), flambeau.tensor([[1, 1, 4, 3]]), labels=["a"])
    (image,) = [event["summary"]["value"][0]["image"] for event in records(tmp_path)["."] if "summary" in event]
    pixels = np.array(image["encodedImageString"])
    assert pixels.shape == (12, 16, 3) and not pixels[..., 1:].any()
    assert (pixels[::2, ::2, 0] > 0).astype(int).tolist() == [
        [0, 0, 0, 0, 0, 0, 0, 0], [0, 1, 1, 1, 1, 0, 0, 0], [0, 1, 0, 0, 1, 0, 0, 0], [0, 1, 1, 1, 1, 0, 0, 0],
        [1, 1, 1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1, 1, 1]]


@pytest.mark.parametrize("listed", [False, True])
def test_figures(listed: bool, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib").use("Agg")
    plot = import_module("matplotlib.pyplot")
    for library in LIBRARIES:
        figures = [plot.figure(figsize=(1, 1), dpi=40) for _ in range(2)]
        for figure in figures:
            figure.add_subplot().plot([1, 3, 2])
        with writer_of(library)(tmp_path / library) as writer:
            writer.add_figure("f", figures if listed else figures[0], 1)
            if not listed:
                writer.add_figure("f", figures[1], 2, close=False)
        assert len(plot.get_fignums()) == (0 if listed else 1)
        plot.close("all")
    same(records(tmp_path / "flambeau"), records(tmp_path / "torch"))
    assert "matplotlib.pyplot" in sys.modules
