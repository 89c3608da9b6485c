"""What NVIDIA's driver tells of a device: clocks, load, temperature, power, memory. `nvidia-smi` is asked."""

from __future__ import annotations

import shutil
from importlib import import_module
from typing import Any

from .devices import index_of, is_available

_NONE = "nvidia-ml-py does not seem to be installed or it can't be imported."


def _asked(field: str, device: Any, kind: str = "gpu") -> list[str]:
    """The lines that nvidia-smi says to a question about a device; ModuleNotFoundError, as in torch, where there is none."""
    if not is_available():
        raise ModuleNotFoundError(_NONE)
    program = shutil.which("nvidia-smi")
    if program is None:
        raise RuntimeError(f"reading {field} of a CUDA device requires nvidia-smi, which is not on the path: install the "
                           "driver's utilities")
    subprocess = import_module("subprocess")  # which `import flambeau` need not load
    said = subprocess.run([program, f"--query-{kind}={field}", "--format=csv,noheader,nounits", f"--id={index_of(device)}"],
                          check=True, capture_output=True, text=True, timeout=60)
    lines: list[str] = said.stdout.strip().splitlines()
    return lines


def _number(field: str, device: Any) -> float:
    return float(_asked(field, device)[0])


def clock_rate(device: Any = None) -> int:
    """MHz of the multiprocessors.

    Source: https://pytorch.org/docs/stable/generated/torch.cuda.clock_rate.html
    """
    return int(_number("clocks.sm", device))


def utilization(device: Any = None) -> int:
    """Per cent of the time in which the device computed.

    Source: https://pytorch.org/docs/stable/generated/torch.cuda.utilization.html
    """
    return int(_number("utilization.gpu", device))


def memory_usage(device: Any = None) -> int:
    """Per cent of the time in which the device's memory was read or written.

    Source: https://pytorch.org/docs/stable/generated/torch.cuda.memory_usage.html
    """
    return int(_number("utilization.memory", device))


def temperature(device: Any = None) -> int:
    """Degrees Celsius.

    Source: https://pytorch.org/docs/stable/generated/torch.cuda.temperature.html
    """
    return int(_number("temperature.gpu", device))


def power_draw(device: Any = None) -> int:
    """Milliwatts.

    Source: https://pytorch.org/docs/stable/generated/torch.cuda.power_draw.html
    """
    return int(1000 * _number("power.draw", device))


def device_memory_used(device: Any = None) -> int:
    """Bytes of the device's memory that all processes use.

    Source: https://pytorch.org/docs/stable/generated/torch.cuda.device_memory_used.html
    """
    return int(_number("memory.used", device)) << 20


def list_gpu_processes(device: Any = None) -> str:
    """The processes that use a device, and how much of its memory, as text.

    Source: https://pytorch.org/docs/stable/generated/torch.cuda.list_gpu_processes.html
    """
    try:
        rows = [line.split(",") for line in _asked("pid,used_memory", device, "compute-apps")]
    except ModuleNotFoundError:
        return "pynvml module not found, please install nvidia-ml-py"
    lines = [f"process {pid.strip():>10s} uses {float(used):12.3f} MB GPU memory" for pid, used in rows]
    return "\n".join([f"GPU:{index_of(device)}", *(lines or ["no processes are running"])])
