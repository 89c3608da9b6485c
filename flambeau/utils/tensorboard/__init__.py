"""`torch.utils.tensorboard`: https://pytorch.org/docs/stable/tensorboard.html

It stands on the `tensorboard` package, which is an optional extra: without it importing this module raises
ModuleNotFoundError.
"""

from importlib.util import find_spec as _find_spec

if _find_spec("tensorboard") is None:
    raise ModuleNotFoundError("torch.utils.tensorboard requires the tensorboard package, which is not installed: "
                              "pip install tensorboard", name="tensorboard")

from tensorboard.summary.writer.record_writer import RecordWriter

from .writer import FileWriter, SummaryWriter

__all__ = ["FileWriter", "RecordWriter", "SummaryWriter"]
