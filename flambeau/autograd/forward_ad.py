"""`torch.autograd.forward_ad`: forward mode is `func.jvp` here, a transform without levels."""

from ..absent import refusal

_INSTEAD = "forward mode is a transform: torch.func.jvp(f, primals, tangents)"
dual_level = refusal("torch.autograd.forward_ad.dual_level", _INSTEAD)
make_dual = refusal("torch.autograd.forward_ad.make_dual", _INSTEAD)
unpack_dual = refusal("torch.autograd.forward_ad.unpack_dual", _INSTEAD)
enter_dual_level = refusal("torch.autograd.forward_ad.enter_dual_level", _INSTEAD)
UnpackedDualTensor = refusal("torch.autograd.forward_ad.UnpackedDualTensor", _INSTEAD)
exit_dual_level = refusal("torch.autograd.forward_ad.exit_dual_level", _INSTEAD)

__all__ = ["UnpackedDualTensor", "dual_level", "enter_dual_level", "exit_dual_level", "make_dual", "unpack_dual"]
