"""Names of devices, and what is said when one is not there."""

import numpy as np
import pytest

import flambeau as torch
from flambeau.runtime import devices, pjrt
from flambeau.tracer.ir.errors import DeviceError
from flambeau.tracer.ir.graph import Value


@pytest.mark.parametrize(("name", "parsed"), [("cpu", ("cpu", 0)), ("cpu:0", ("cpu", 0)), ("cuda:1", ("cuda", 1)),
                                              ("gpu", ("cuda", 0)), ("tpu:3", ("tpu", 3)), ("rocm", ("rocm", 0))])
def test_names(name, parsed):
    assert devices.parse(name) == parsed


@pytest.mark.parametrize("name", ["", "cpus", "CPU", "cuda:x", "cuda:-1", "cuda:1:2", " cpu", "cuda:1.0", "cuda:", "cuda:²"])
def test_what_is_no_name_is_refused(name):
    with pytest.raises(DeviceError, match="expected one of cpu, cuda"):
        devices.parse(name)


def test_the_first_cpu_is_just_cpu():
    assert devices.canonical("cpu:0") == devices.canonical("cpu") == "cpu"


def test_an_index_beyond_the_last_device_is_refused():
    with pytest.raises(DeviceError, match=r"'cpu:99' was asked for, but there are 1 cpu device"):
        devices.canonical("cpu:99")


@pytest.mark.parametrize(("name", "extra"), [("cuda", "flambeau[cuda]"), ("gpu:0", "flambeau[cuda]"),
                                             ("tpu", "flambeau[tpu]")])
def test_absent_platforms_name_the_extra(name, extra, monkeypatch):
    def absent(platform):
        raise RuntimeError(f"Unknown backend {platform}\nmore")

    monkeypatch.setattr(devices, "_clients", {})
    monkeypatch.setattr(pjrt, "plugin_client", absent)
    with pytest.raises(DeviceError) as caught:
        devices.canonical(name)
    assert extra in str(caught.value) and "Unknown backend" in str(caught.value) and "more" not in str(caught.value)


def test_a_platform_that_jax_does_not_find():
    try:
        found = devices.client("cuda").devices
    except DeviceError as error:
        assert "no cuda device is available" in str(error) and "pip install 'flambeau[cuda]'" in str(error)
        with pytest.raises(DeviceError):
            torch.ones(2, device="cuda").sum().item()
    else:
        assert found


def test_a_client_is_made_once():
    assert devices.client("cpu") is devices.client("cpu")


def test_available_tells_devices_or_the_reason(monkeypatch):
    def absent(platform):
        raise RuntimeError("none")

    monkeypatch.setattr(devices, "_clients", {"cpu": devices.client("cpu")})
    monkeypatch.setattr(pjrt, "plugin_client", absent)
    found = devices.available()
    assert list(found) == ["cpu", "cuda", "tpu"] and isinstance(found["cpu"], list) and len(found["cpu"]) >= 1
    assert "flambeau[cuda]" in found["cuda"] and "flambeau[tpu]" in found["tpu"]


def test_other_releases_of_jaxlib_are_refused(monkeypatch):
    for release in ("0.9.2", "0.13.0", "1.0.0"):
        monkeypatch.setattr(pjrt, "version", lambda name, release=release: release)
        with pytest.raises(ImportError, match=f"found {release}"):
            pjrt._check_version()
    for release in ("0.10.0", "0.12.1"):
        monkeypatch.setattr(pjrt, "version", lambda name, release=release: release)
        pjrt._check_version()


def test_operands_on_two_devices_are_refused_with_torch_s_words():
    x = torch.ones(2)
    elsewhere = torch.Tensor._of(Value(x._type, "cuda:0", np.ones(2, np.float32)))
    with pytest.raises(DeviceError, match=r"Expected all tensors to be on the same device, but found at least two devices, "
                                          r"cpu and cuda:0! .*in add"):
        x + elsewhere
