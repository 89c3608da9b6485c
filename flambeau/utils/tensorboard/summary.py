"""`torch.utils.tensorboard.summary`: the records of event files, of TensorBoard's own kinds."""

from __future__ import annotations

from typing import Any

import numpy as np
from google.protobuf import struct_pb2
from tensorboard.compat.proto.summary_pb2 import HistogramProto, Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2
from tensorboard.plugins.pr_curve.plugin_data_pb2 import PrCurvePluginData
from tensorboard.plugins.text.plugin_data_pb2 import TextPluginData

from ...tracer.tensor.tensor import Tensor
from .arrays import Array, array_of, framed, number_of, picture, png, wav

_GROWTH = 1.1  # of TensorBoard's own bins, from one to the next
MOST_THRESHOLDS = 127


def _of_plugin(tag: str, plugin: str, content: bytes = b"", tensor: Any = None) -> Any:
    about = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name=plugin, content=content))
    return Summary(value=[Summary.Value(tag=tag, metadata=about, tensor=tensor)])


def _shape(sizes: Any) -> Any:
    return TensorShapeProto(dim=[TensorShapeProto.Dim(size=n) for n in sizes])


def scalar(name: str, tensor: Any, collections: Any = None, new_style: bool = False, double_precision: bool = False) -> Any:
    """One number."""
    number = number_of(tensor)
    if not new_style:
        return Summary(value=[Summary.Value(tag=name, simple_value=number)])
    held = TensorProto(double_val=[number], dtype="DT_DOUBLE") if double_precision else \
        TensorProto(float_val=[number], dtype="DT_FLOAT")
    return _of_plugin(name, "scalars", tensor=held)


def text(tag: str, text: str) -> Any:
    """A text, which is shown as Markdown."""
    held = TensorProto(dtype="DT_STRING", string_val=[text.encode()], tensor_shape=_shape([1]))
    return _of_plugin(f"{tag}/text_summary", "text", TextPluginData(version=0).SerializeToString(), held)


_FIELDS = {"float16": ("DT_HALF", "half_val"), "bfloat16": ("DT_BFLOAT16", "half_val"), "float32": ("DT_FLOAT", "float_val"),
           "float64": ("DT_DOUBLE", "double_val"), "int8": ("DT_INT8", "int_val"), "uint8": ("DT_UINT8", "int_val"),
           "int16": ("DT_INT16", "int_val"), "int32": ("DT_INT32", "int_val"), "int64": ("DT_INT64", "int64_val"),
           "bool": ("DT_BOOL", "bool_val"), "complex64": ("DT_COMPLEX64", "scomplex_val"),
           "complex128": ("DT_COMPLEX128", "dcomplex_val")}


def tensor_proto(tag: str, tensor: Tensor) -> Any:
    """A whole tensor; ValueError for a dtype that TensorBoard lacks, and for 2 GB or more."""
    name = tensor.dtype.name
    if tensor.numel() * tensor.itemsize >= 1 << 31:
        raise ValueError("tensor is bigger than protocol buffer's hard limit of 2GB in size")
    if name not in _FIELDS:
        raise ValueError(f"{tag} has unsupported tensor dtype {tensor.dtype}")
    kind, field = _FIELDS[name]
    flat = np.ascontiguousarray(tensor.detach().cpu().numpy()).reshape(-1)
    if field == "half_val":
        flat = flat.view(np.uint16)
    elif "complex" in field:
        flat = flat.view(np.float32 if name == "complex64" else np.float64)
    return _of_plugin(tag, "tensor", tensor=TensorProto(dtype=kind, tensor_shape=_shape(tensor.shape), **{field: flat.tolist()}))


# --- Histograms -------------------------------------------------------------------------------------------------------


def default_bins() -> list[float]:
    """TensorBoard's bins: growing by a tenth from 1e-12 to 1e20, to both sides of zero."""
    right, edge = [], 1e-12
    while edge < 1e20:
        right.append(edge)
        edge *= _GROWTH
    return [*(-edge for edge in right[::-1]), 0.0, *right]


def histogram_raw(name: str, min: Any, max: Any, num: Any, sum: Any, sum_squares: Any, bucket_limits: Any,
                  bucket_counts: Any) -> Any:
    """A histogram that was counted already: the right edges of the buckets, and what is in each."""
    return Summary(value=[Summary.Value(tag=name, histo=HistogramProto(
        min=min, max=max, num=num, sum=sum, sum_squares=sum_squares, bucket_limit=bucket_limits, bucket=bucket_counts))])


def histogram(name: str, values: Any, bins: Any, max_bins: int | None = None) -> Any:
    """A histogram of all elements; ValueError for none, and where none is in a bin."""
    flat = array_of(values).reshape(-1)
    if not flat.size:
        raise ValueError("The input has no element.")
    flat = flat.astype(np.float64)
    counts, edges = np.histogram(flat, bins=bins)
    if max_bins is not None and len(counts) > max_bins:
        counts, edges = _merged(counts, edges, len(counts) // max_bins)
    filled = np.flatnonzero(counts)
    if not filled.size:
        raise ValueError("The histogram is empty: no element is in any of the bins")
    first, last = filled[0], filled[-1]
    # TensorBoard knows right edges alone, so an empty bucket before the first one tells where that begins.
    return histogram_raw(name, flat.min(), flat.max(), flat.size, flat.sum(), flat @ flat, edges[first:last + 2].tolist(),
                         [0, *counts[first:last + 1].tolist()])


def _merged(counts: Array, edges: Array, by: int) -> tuple[Array, Array]:
    """Bins in groups of `by`."""
    starts = np.arange(0, len(counts), by)
    return np.add.reduceat(counts, starts), np.append(edges[starts], edges[-1])


# --- Pictures and sound -----------------------------------------------------------------------------------------------


def _of_pixels(tag: str, pixels: Array) -> Any:
    height, width, channels = pixels.shape
    return Summary(value=[Summary.Value(tag=tag, image=Summary.Image(
        height=height, width=width, colorspace=channels, encoded_image_string=png(pixels)))])


def image(tag: str, tensor: Any, rescale: int = 1, dataformats: str = "NCHW") -> Any:
    """A picture, or several on one sheet, `rescale` times as large."""
    return _of_pixels(tag, picture(tensor, dataformats).repeat(rescale, 0).repeat(rescale, 1))


def image_boxes(tag: str, tensor_image: Any, tensor_boxes: Any, rescale: int = 1, dataformats: str = "CHW",
                labels: Any = None) -> Any:
    """A picture with frames. NotImplementedError for `labels`."""
    if labels is not None:
        raise NotImplementedError("labels of boxes are not drawn: write them with add_text, or draw them with matplotlib and "
                                  "add_figure")
    pixels = framed(picture(tensor_image, dataformats), array_of(tensor_boxes))
    return _of_pixels(tag, pixels.repeat(rescale, 0).repeat(rescale, 1))


def audio(tag: str, tensor: Any, sample_rate: int = 44100) -> Any:
    """Sound of one channel."""
    data, length = wav(tensor, sample_rate)
    return Summary(value=[Summary.Value(tag=tag, audio=Summary.Audio(
        sample_rate=sample_rate, num_channels=1, length_frames=length, encoded_audio_string=data,
        content_type="audio/wav"))])


# --- Curves and layouts -----------------------------------------------------------------------------------------------


def pr_curve_raw(tag: str, tp: Any, fp: Any, tn: Any, fn: Any, precision: Any, recall: Any, num_thresholds: int = 127,
                 weights: Any = None) -> Any:
    """A curve of precision and recall that was counted already."""
    rows = np.stack([array_of(x) for x in (tp, fp, tn, fn, precision, recall)])
    held = TensorProto(dtype="DT_FLOAT", float_val=rows.reshape(-1).tolist(), tensor_shape=_shape(rows.shape))
    about = PrCurvePluginData(version=0, num_thresholds=min(num_thresholds, MOST_THRESHOLDS))
    return _of_plugin(tag, "pr_curves", about.SerializeToString(), held)


def pr_curve(tag: str, labels: Any, predictions: Any, num_thresholds: int = 127, weights: Any = None) -> Any:
    """A curve of precision and recall: `labels`, true or false, and `predictions` from 0 to 1 of the same shape."""
    count = min(num_thresholds, MOST_THRESHOLDS)
    truth, said = array_of(labels).reshape(-1).astype(np.float64), array_of(predictions).reshape(-1)
    heavy = np.broadcast_to(1.0 if weights is None else array_of(weights).reshape(-1), truth.shape)
    threshold = np.floor(said * (count - 1)).astype(np.int64)
    tp, fp = (np.bincount(threshold, hit * heavy, count)[::-1].cumsum()[::-1] for hit in (truth, 1 - truth))
    fn, tn = tp[0] - tp, fp[0] - fp
    least = 1e-7  # in a division by nothing
    return pr_curve_raw(tag, tp, fp, tn, fn, tp / np.maximum(least, tp + fp), tp / np.maximum(least, tp + fn), count)


def custom_scalars(layout: dict[str, dict[str, list[Any]]]) -> Any:
    """Which scalars are shown in one chart: categories of charts, each a kind and its tags."""
    made = layout_pb2.Layout(category=[layout_pb2.Category(title=title, chart=[
        _chart(name, kind, tags) for name, (kind, tags) in charts.items()]) for title, charts in layout.items()])
    held = TensorProto(dtype="DT_STRING", string_val=[made.SerializeToString()], tensor_shape=TensorShapeProto())
    return _of_plugin("custom_scalars__config__", "custom_scalars", tensor=held)


def _chart(name: str, kind: str, tags: list[str]) -> Any:
    if kind != "Margin":
        return layout_pb2.Chart(title=name, multiline=layout_pb2.MultilineChartContent(tag=tags))
    if len(tags) != 3:
        raise AssertionError(f"a Margin chart requires 3 tags (value, lower, upper), got {len(tags)}")
    series = layout_pb2.MarginChartContent.Series(value=tags[0], lower=tags[1], upper=tags[2])
    return layout_pb2.Chart(title=name, margin=layout_pb2.MarginChartContent(series=[series]))


# --- Hyperparameters --------------------------------------------------------------------------------------------------


def hparams(hparam_dict: Any = None, metric_dict: Any = None, hparam_domain_discrete: Any = None) -> tuple[Any, Any, Any]:
    """What a run was made with, by what it is measured, and that it ended: three records."""
    domains = hparam_domain_discrete or {}
    for name, given in (("hparam_dict", hparam_dict), ("metric_dict", metric_dict), ("hparam_domain_discrete", domains)):
        if not isinstance(given, dict):
            raise TypeError(f"parameter: {name} should be a dictionary, nothing logged.")
    for name, values in domains.items():
        if name not in hparam_dict or not isinstance(values, list) or not all(isinstance(v, type(hparam_dict[name]))
                                                                              for v in values):
            raise TypeError(f"parameter: hparam_domain_discrete[{name}] should be a list of same type as hparam_dict[{name}].")
    start = plugin_data_pb2.SessionStartInfo()
    infos = []
    for name, value in hparam_dict.items():
        if value is not None:
            field, kind, value = _hyperparameter(value)
            setattr(start.hparams[name], field, value)
            domain = [struct_pb2.Value(**{field: v}) for v in domains[name]] if name in domains else None
            infos.append(api_pb2.HParamInfo(
                name=name, type=api_pb2.DataType.Value(kind),
                domain_discrete=None if domain is None else struct_pb2.ListValue(values=domain)))
    metrics = [api_pb2.MetricInfo(name=api_pb2.MetricName(tag=name)) for name in metric_dict]
    end = plugin_data_pb2.SessionEndInfo(status=api_pb2.Status.Value("STATUS_SUCCESS"))
    return (_of_run(metadata.EXPERIMENT_TAG, experiment=api_pb2.Experiment(hparam_infos=infos, metric_infos=metrics)),
            _of_run(metadata.SESSION_START_INFO_TAG, session_start_info=start),
            _of_run(metadata.SESSION_END_INFO_TAG, session_end_info=end))


def _hyperparameter(value: Any) -> tuple[str, str, Any]:
    """Field, type and value of a hyperparameter; bools are numbers, as in torch."""
    if isinstance(value, str):
        return "string_value", "DATA_TYPE_STRING", value
    if isinstance(value, (int, float)):
        return "number_value", "DATA_TYPE_FLOAT64", value
    if isinstance(value, Tensor):
        return "number_value", "DATA_TYPE_FLOAT64", number_of(value)
    raise ValueError("value should be one of int, float, str, bool, or torch.Tensor")


def _of_run(tag: str, **content: Any) -> Any:
    held = plugin_data_pb2.HParamsPluginData(version=metadata.PLUGIN_DATA_VERSION, **content)
    return _of_plugin(tag, metadata.PLUGIN_NAME, held.SerializeToString())
