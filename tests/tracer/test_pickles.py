"""Pickles made before the files of the tracer had rooms still load: they name its old modules."""

from __future__ import annotations

import base64
import pickle

import flambeau as torch

# (torch.arange(3), torch.float32, torch.ones(2, 3).shape, torch.device("cpu")), pickled by the version before
BEFORE = (
    "fCQCk0RR910000ej2C8XVQpe%VRbHaa$#d-axQ6ZbY*gHaFmP)Uvgz)b!lv5l#`Swj232WVQpe%VRbHaa$#d-axQdbZgX#Pl#B*c"
    "Wo~nCa+H&lj23QnZE$%mUt@1_WiD-XY;<X1a&lpLl#C2ta%E$0ZgX^Ubz^jtla!1FZgp*Nd6bL?Ze(F{a$$LtlaxyUg_J`9Vw8uJ"
    "Qj{o50ZRjglxPWz1!Q!2aAlN}l#BvtIFyNqhm=y3C`$v30X&pWPEJby|Ns9=|NsC0O8|6~Vu?c-00000000000RR91000000ssI2"
    "00000lysD0j0I_KbT%}Uj00nEb(D#HlysC*l#CW;Y+-F;WnpzLbaG*1WpXZLba`-PbCiq+W^8X^bTcxPlay!!j096@dS#T8luH6j"
    "1BR4^l!26J1B?b_Wp-&}Wt5YYDS?zueUvDS1ax_DWt3<ej0I_KWMz1iPIZQqVsw-)"
)


def test_a_pickle_of_a_former_version_loads() -> None:
    tensor, kind, shape, device = pickle.loads(base64.b85decode(BEFORE))
    assert tensor.tolist() == [0, 1, 2] and tensor.dtype is torch.int64
    assert kind is torch.float32
    assert isinstance(shape, torch.Size) and shape == (2, 3)
    assert device == torch.device("cpu")
