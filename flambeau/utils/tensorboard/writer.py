"""`torch.utils.tensorboard.writer`: event files, which TensorBoard shows."""

from __future__ import annotations

import os
import socket
import time
from types import TracebackType
from typing import Any, NoReturn

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from .arrays import drawn
from .summary import (
    audio,
    custom_scalars,
    default_bins,
    histogram,
    histogram_raw,
    hparams,
    image,
    image_boxes,
    pr_curve,
    pr_curve_raw,
    scalar,
    tensor_proto,
    text,
)


class FileWriter:
    """One event file, written by a thread of its own.

    Args: `log_dir`, its folder, made if need be; `max_queue`, how many records wait at most; `flush_secs`, how long;
    `filename_suffix`, of the file's name. Source: https://pytorch.org/docs/stable/tensorboard.html
    """

    def __init__(self, log_dir: Any, max_queue: int = 10, flush_secs: float = 120, filename_suffix: str = "") -> None:
        self.event_writer = EventFileWriter(str(log_dir), max_queue, flush_secs, filename_suffix)

    def get_logdir(self) -> Any:
        """The folder."""
        return self.event_writer.get_logdir()

    def add_event(self, event: Any, step: Any = None, walltime: float | None = None) -> None:
        """Add an event, of a step and a time; by default of now."""
        event.wall_time = time.time() if walltime is None else walltime
        if step is not None:
            event.step = int(step)
        self.event_writer.add_event(event)

    def add_summary(self, summary: Any, global_step: Any = None, walltime: float | None = None) -> None:
        """Add a record of `summary`'s."""
        self.add_event(Event(summary=summary), global_step, walltime)

    def flush(self) -> None:
        """Write what waits."""
        self.event_writer.flush()

    def close(self) -> None:
        """Write what waits, and end the file."""
        self.event_writer.close()

    def reopen(self) -> None:
        """Begin another file."""
        self.event_writer.reopen()


def _refuse(name: str, instead: str) -> NoReturn:
    raise NotImplementedError(f"SummaryWriter.{name} is not there in Flambeau: {instead}")


class SummaryWriter:
    """Writes what a training tells to a folder that TensorBoard shows: `tensorboard --logdir=runs`.

    Args: `log_dir`, the folder, by default `runs/` and in it one named by time and machine, with `comment` at the end;
    `purge_step`, from which on what an earlier run wrote there is hidden; the others as those of `FileWriter`. Numbers, numpy
    arrays and tensors are taken alike; a tensor is computed when it is added, so add what a compiled step returns.

        with SummaryWriter("runs/first") as writer:
            writer.add_scalar("loss", step(x), 0)

    Source: https://pytorch.org/docs/stable/tensorboard.html
    """

    def __init__(self, log_dir: Any = None, comment: str = "", purge_step: int | None = None, max_queue: int = 10,
                 flush_secs: float = 120, filename_suffix: str = "") -> None:
        now = time.strftime("%b%d_%H-%M-%S")
        self.log_dir = log_dir or os.path.join("runs", f"{now}_{socket.gethostname()}{comment}")
        self.purge_step, self.max_queue, self.flush_secs = purge_step, max_queue, flush_secs
        self.filename_suffix = filename_suffix
        self.default_bins = default_bins()
        self.file_writer: FileWriter | None = None
        self.all_writers: dict[str, FileWriter] | None = None
        self._get_file_writer()

    def get_logdir(self) -> Any:
        """The folder."""
        return self.log_dir

    def _get_file_writer(self) -> FileWriter:
        """The writer of the folder itself; a new one after `close`."""
        if self.file_writer is None or self.all_writers is None:
            self.file_writer = FileWriter(self.log_dir, self.max_queue, self.flush_secs, self.filename_suffix)
            self.all_writers = {self.file_writer.get_logdir(): self.file_writer}
            if self.purge_step is not None:
                self.file_writer.add_event(Event(step=self.purge_step, file_version="brain.Event:2"))
                self.file_writer.add_event(Event(step=self.purge_step, session_log=SessionLog(status=SessionLog.START)))
                self.purge_step = None
        return self.file_writer

    def _add(self, summary: Any, global_step: Any, walltime: float | None = None) -> None:
        self._get_file_writer().add_summary(summary, global_step, walltime)

    # --- Numbers and texts --------------------------------------------------------------------------------------------

    def add_scalar(self, tag: str, scalar_value: Any, global_step: Any = None, walltime: float | None = None,
                   new_style: bool = False, double_precision: bool = False) -> None:
        """One number."""
        self._add(scalar(tag, scalar_value, new_style=new_style, double_precision=double_precision), global_step, walltime)

    def add_scalars(self, main_tag: str, tag_scalar_dict: dict[str, Any], global_step: Any = None,
                    walltime: float | None = None) -> None:
        """Several numbers in one chart, each in a folder of its own."""
        walltime = time.time() if walltime is None else walltime
        folder = self._get_file_writer().get_logdir()
        writers = self.all_writers or {}
        for tag, value in tag_scalar_dict.items():
            path = f"{folder}/{main_tag.replace('/', '_')}_{tag}"
            if path not in writers:
                writers[path] = FileWriter(path, self.max_queue, self.flush_secs, self.filename_suffix)
            writers[path].add_summary(scalar(main_tag, value), global_step, walltime)

    def add_text(self, tag: str, text_string: str, global_step: Any = None, walltime: float | None = None) -> None:
        """A text in Markdown."""
        self._add(text(tag, text_string), global_step, walltime)

    def add_tensor(self, tag: str, tensor: Any, global_step: Any = None, walltime: float | None = None) -> None:
        """A whole tensor."""
        self._add(tensor_proto(tag, tensor), global_step, walltime)

    def add_hparams(self, hparam_dict: Any, metric_dict: Any, hparam_domain_discrete: Any = None, run_name: str | None = None,
                    global_step: Any = None) -> None:
        """What a run was made with, and what came of it; in a folder `run_name`, by default the time."""
        if type(hparam_dict) is not dict or type(metric_dict) is not dict:
            raise TypeError("hparam_dict and metric_dict should be dictionary.")
        records = hparams(hparam_dict, metric_dict, hparam_domain_discrete)
        folder = os.path.join(self._get_file_writer().get_logdir(), run_name or str(time.time()))
        with SummaryWriter(folder) as run:
            for record in records:
                run._add(record, global_step)
            for name, value in metric_dict.items():
                run.add_scalar(name, value, global_step)

    # --- Distributions and curves -------------------------------------------------------------------------------------

    def add_histogram(self, tag: str, values: Any, global_step: Any = None, bins: Any = "tensorflow",
                      walltime: float | None = None, max_bins: int | None = None) -> None:
        """How elements are distributed; `bins`, "tensorflow" or what numpy's `histogram` takes."""
        edges = self.default_bins if isinstance(bins, str) and bins == "tensorflow" else bins
        self._add(histogram(tag, values, edges, max_bins), global_step, walltime)

    def add_histogram_raw(self, tag: str, min: Any, max: Any, num: Any, sum: Any, sum_squares: Any, bucket_limits: Any,
                          bucket_counts: Any, global_step: Any = None, walltime: float | None = None) -> None:
        """A histogram that was counted already; ValueError unless there are as many limits as counts."""
        if len(bucket_limits) != len(bucket_counts):
            raise ValueError("len(bucket_limits) != len(bucket_counts), see the document.")
        self._add(histogram_raw(tag, min, max, num, sum, sum_squares, bucket_limits, bucket_counts), global_step, walltime)

    def add_pr_curve(self, tag: str, labels: Any, predictions: Any, global_step: Any = None, num_thresholds: int = 127,
                     weights: Any = None, walltime: float | None = None) -> None:
        """Precision and recall of predictions from 0 to 1 by threshold."""
        self._add(pr_curve(tag, labels, predictions, num_thresholds, weights), global_step, walltime)

    def add_pr_curve_raw(self, tag: str, true_positive_counts: Any, false_positive_counts: Any, true_negative_counts: Any,
                         false_negative_counts: Any, precision: Any, recall: Any, global_step: Any = None,
                         num_thresholds: int = 127, weights: Any = None, walltime: float | None = None) -> None:
        """Precision and recall that were counted already."""
        self._add(pr_curve_raw(tag, true_positive_counts, false_positive_counts, true_negative_counts, false_negative_counts,
                               precision, recall, num_thresholds, weights), global_step, walltime)

    def add_custom_scalars(self, layout: dict[str, dict[str, list[Any]]]) -> None:
        """Which scalars are in one chart: `{category: {chart: ["Multiline" or "Margin", tags]}}`."""
        self._add(custom_scalars(layout), None)

    def add_custom_scalars_multilinechart(self, tags: Any, category: str = "default", title: str = "untitled") -> None:
        """One chart of several scalars."""
        self.add_custom_scalars({category: {title: ["Multiline", tags]}})

    def add_custom_scalars_marginchart(self, tags: Any, category: str = "default", title: str = "untitled") -> None:
        """One chart of a scalar between two others: the tags of the value, the lower and the upper one."""
        if len(tags) != 3:
            raise AssertionError(f"a Margin chart requires 3 tags (value, lower, upper), got {len(tags)}")
        self.add_custom_scalars({category: {title: ["Margin", tags]}})

    # --- Pictures and sound -------------------------------------------------------------------------------------------

    def add_image(self, tag: str, img_tensor: Any, global_step: Any = None, walltime: float | None = None,
                  dataformats: str = "CHW") -> None:
        """A picture: bytes, or floats from 0 to 1."""
        self._add(image(tag, img_tensor, dataformats=dataformats), global_step, walltime)

    def add_images(self, tag: str, img_tensor: Any, global_step: Any = None, walltime: float | None = None,
                   dataformats: str = "NCHW") -> None:
        """Pictures on one sheet."""
        self._add(image(tag, img_tensor, dataformats=dataformats), global_step, walltime)

    def add_image_with_boxes(self, tag: str, img_tensor: Any, box_tensor: Any, global_step: Any = None,
                             walltime: float | None = None, rescale: int = 1, dataformats: str = "CHW",
                             labels: Any = None) -> None:
        """A picture with frames: rows of left, top, right and bottom."""
        self._add(image_boxes(tag, img_tensor, box_tensor, rescale, dataformats, labels), global_step, walltime)

    def add_figure(self, tag: str, figure: Any, global_step: Any = None, close: bool = True,
                   walltime: float | None = None) -> None:
        """A figure of matplotlib, or a list of them; `close` closes it."""
        self._add(image(tag, drawn(figure, close), dataformats="NCHW" if isinstance(figure, list) else "CHW"), global_step,
                  walltime)

    def add_audio(self, tag: str, snd_tensor: Any, global_step: Any = None, sample_rate: int = 44100,
                  walltime: float | None = None) -> None:
        """Sound of one channel, from -1 to 1."""
        self._add(audio(tag, snd_tensor, sample_rate), global_step, walltime)

    # --- What is not there --------------------------------------------------------------------------------------------

    def add_graph(self, model: Any, input_to_model: Any = None, verbose: bool = False, use_strict_trace: bool = True) -> None:
        """Raises NotImplementedError."""
        _refuse("add_graph", "print(step.graph) shows a compiled step with the user's lines, and add_text writes it: "
                             "writer.add_text('graph', str(step.graph))")

    def add_onnx_graph(self, prototxt: Any) -> None:
        """Raises NotImplementedError."""
        _refuse("add_onnx_graph", "print(step.graph) shows a compiled step")

    def add_embedding(self, mat: Any, metadata: Any = None, label_img: Any = None, global_step: Any = None, tag: str = "default",
                      metadata_header: Any = None) -> None:
        """Raises NotImplementedError."""
        _refuse("add_embedding", "project the points, by torch.pca_lowrank, say, and write the picture with add_figure")

    def add_video(self, tag: str, vid_tensor: Any, global_step: Any = None, fps: int = 4, walltime: float | None = None) -> None:
        """Raises NotImplementedError."""
        _refuse("add_video", "write the frames on one sheet with add_images")

    def add_mesh(self, tag: str, vertices: Any, colors: Any = None, faces: Any = None, config_dict: Any = None,
                 global_step: Any = None, walltime: float | None = None) -> None:
        """Raises NotImplementedError."""
        _refuse("add_mesh", "draw it with matplotlib, and write the picture with add_figure")

    # --- Ends ---------------------------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Write what waits."""
        for writer in (self.all_writers or {}).values():
            writer.flush()

    def close(self) -> None:
        """Write what waits and end the files; adding more begins others."""
        for writer in (self.all_writers or {}).values():
            writer.flush()
            writer.close()
        self.file_writer = self.all_writers = None

    def __enter__(self) -> SummaryWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 traceback: TracebackType | None) -> None:
        self.close()
