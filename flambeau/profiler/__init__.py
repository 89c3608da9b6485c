"""`torch.profiler`: where the time of a program goes on the host. https://pytorch.org/docs/stable/profiler.html"""

from ..autograd.profiler import KinetoStepTracker, record_function
from ..autograd.profiler_util import DeviceType
from . import itt
from .profiler import (
    ExecutionTraceObserver,
    ProfilerAction,
    ProfilerActivity,
    kineto_available,
    profile,
    schedule,
    supported_activities,
    tensorboard_trace_handler,
)

__all__ = ["DeviceType", "ExecutionTraceObserver", "KinetoStepTracker", "ProfilerAction", "ProfilerActivity", "itt",
           "kineto_available", "profile", "record_function", "schedule", "supported_activities", "tensorboard_trace_handler"]
