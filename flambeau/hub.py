"""`torch.hub`: where downloaded models lie; downloading is refused. https://pytorch.org/docs/stable/hub.html"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, NoReturn

from .runtime.checkpoint import load as _load

HASH_REGEX = re.compile(r"-([a-f0-9]*)\.")  # in the name of a file: the start of its hash
_folder: list[str] = []


def get_dir() -> str:
    """The folder: that of `set_dir`, `$TORCH_HOME/hub`, or `~/.cache/torch/hub`."""
    if _folder:
        return _folder[-1]
    home = os.environ.get("TORCH_HOME") or os.path.join(os.environ.get("XDG_CACHE_HOME", "~/.cache"), "torch")
    return os.path.join(os.path.expanduser(home), "hub")


def set_dir(d: str | os.PathLike[str]) -> None:
    """Another folder."""
    _folder[:] = [os.path.expanduser(d)]


def _refuse(what: str, instead: str) -> NoReturn:
    raise RuntimeError(f"torch.hub.{what} downloads code and runs it, which Flambeau does not do: {instead}")


def load(repo_or_dir: str, model: str, *args: Any, source: str = "github", **kwargs: Any) -> NoReturn:
    """RuntimeError: code from elsewhere is not run."""
    _refuse("load", "install the package and build the model from it")


def list(github: str, *args: Any, **kwargs: Any) -> NoReturn:
    """RuntimeError: code from elsewhere is not run."""
    _refuse("list", "look at the repository")


def help(github: str, model: str, *args: Any, **kwargs: Any) -> NoReturn:
    """RuntimeError: code from elsewhere is not run."""
    _refuse("help", "look at the repository")


def download_url_to_file(url: str, dst: str, hash_prefix: str | None = None, progress: bool = True) -> NoReturn:
    """RuntimeError: nothing is downloaded."""
    raise RuntimeError(f"torch.hub.download_url_to_file downloads {url}, which Flambeau does not do: put the file at {dst}")


def load_state_dict_from_url(url: str, model_dir: str | None = None, map_location: Any = None, progress: bool = True,
                             check_hash: bool = False, file_name: str | None = None, weights_only: bool = True) -> Any:
    """The state dict that lies in the folder under the address's last part; RuntimeError if it is not there."""
    path = Path(model_dir or os.path.join(get_dir(), "checkpoints"), file_name or url.rpartition("/")[2])
    if not path.exists():
        raise RuntimeError(f"{path} is not there, and nothing is downloaded: put the file of {url} in that place")
    return _load(path)


__all__ = ["download_url_to_file", "get_dir", "help", "list", "load", "load_state_dict_from_url", "set_dir"]
