"""torch.func: function transforms, each a walk over recorded nodes. `flambeau.func` is their public face."""
