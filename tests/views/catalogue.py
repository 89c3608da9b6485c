"""What the programs with numbers, containers and created state are made of: templates of statements and expressions.

In braces: `t` and `u` are tensors, the same wherever they stand in one template, `w` a whole number and `r` another one by
their names, capital letters expressions from the table, `new` and `number` the names of what is made.
"""

from __future__ import annotations

ARGUMENTS = ["x", "y", "z", "n", "s", "batch"]
OUTSIDE = ["state", "log", "obj", "queue", "p"]
WAYS = {"argument": [], "closure": [], "global": [],
        "method": ["obj, state, log, queue, p = self, self.state, self.log, self.queue, self.p"],
        "module": ["obj, state, log, queue, p = self, self.state, self.log, self.queue, self.weight"]}
NUMBERS = [("n", "w"), ("n", "w"), ("s", "r"), ("s", "r"), ("obj.calls", "w"), ("obj.rate", "r"), ('batch["k"]', "w"),
           ('batch["r"]', "r"), ('state.get("step", 0)', "w"), ("COUNT", "w"), ("batch['o'].k", "w")]
RESULTS = ["log", "obj.h", "n * 2", "obj.calls", "batch", "state", "s", "COUNT", "x", "(z, {'n': n + 1})"]
BETWEEN = ["log.clear()", "state.clear()", "obj.buf = None", "obj.rate = 0.3", "obj.calls = 7", "obj.rate = 0.75",
           "p.grad = None",
           "obj.h = torch.ones(4, dtype=torch.float64)", "state.pop('m', None)", "obj.table.clear()", "log.append(obj.h)",
           "queue.append(torch.ones(3))", "obj.items = [obj.h, obj.buf]", "batch['l'].append(batch['x'])"]

# First lines, and last lines.
ENDINGS = {
    "nothing": ("", ""),
    "gradients": ("", "grads = gradients(torch, [p], [TENSORS])"),
    "backward": ("", "loss([TENSORS]).backward()"),
    "zero first": ("p.grad = None", "loss([TENSORS]).backward()"),
    "step": ("", "loss([TENSORS]).backward()\nwith torch.no_grad():\n    p.sub_(p.grad, alpha=0.01)\np.grad = None"),
    "outside": ("", "grads = loss([TENSORS])"),
}

EXPRESSIONS = {
    "W": ["{w}", "{w} + 1", "{w} * 2", "{w} % 3", "{w} // 2", "abs({w} - 3)", "NUMPY(min({w}, 2))", "NUMPY(max({w}, 1))",
          "int({w} / 2)",
          "round({r})", "int({r} * 4)", "-{w}", "{w} - 2", "{w} + {w}", "len({L})", "divmod({w}, 3)[1]", "{w} % 2 + 1"],
    "R": ["{r}", "{r} * 2", "{w} / 4", "1 - 0.9 ** {w}", "0.5 * (1 + math.cos(math.pi * NUMPY(min({w}, 5)) / 5))",
          "sqrt(abs({r}))",
          "float({w})", "round({r}, 1)", "NUMPY(max({r}, 0.25))", "{r} / (abs({w}) + 7)", "{w} * {r}", "math.exp(-abs({r}))",
          "NUMPY(min(1.0, {w} / 4))", "{r} % 0.75", "{r} // 0.5", "abs({r})", "0.1 * 0.5 ** ({w} // 2)", "{r} - {r}"],
    "N": ["{W}", "{R}", "{R}", "KIND(min(1, {w} / 4))", "(SEEN({w}) or 0.5)", "(2 if {C} else {R})"],
    "C": ["SEEN(({W}) % 3 == 0)", "SEEN({W} > 2)", "SEEN({r} < 0.25)", "SEEN({w})", "SEEN(not {w})",
          "SEEN({w}) and SEEN(6 / {w} > 3)", "AMONG({W}) in (1, 3)", "SEEN(0 < {w}) and SEEN({w} < 4)", "SEEN({w} > {r})",
          "SEEN(({w} + 1) % 2 == 0) or SEEN({r} > 0.5)", "SEEN(len({L}) < 3)", "SEEN('m' in state)", "SEEN(obj.buf is None)"],
    "L": ["log", "log", "ANEW(queue)", 'batch["l"]', 'batch["l"]', "obj.items"],
    "D": ["state", "state", "batch", 'batch["d"]', "obj.table"],
    "O": ["obj", "obj", 'batch["o"]'],
    "K": ['"a"', '"m"', '"pred"', '"x"', '"k"', 'VALUE({W})', '("n", VALUE({w}))'],
    "A": ["a", "h", "pred", "buf"],
    # What may stay in the world: it has no history.
    "V": ["ANEW({t}.detach())", "{t}.detach().clone()", "({t} * {N}).detach()", "like(torch, p, {t}).detach()", "ANEW(x)",
          "ANEW(y)", "ANEW(z)", "ANEW({t}.detach()[0])", "{t}.detach().sum()"],
    "S": ["({W}) % {t}.shape[0]", "({W}) % {t}.shape[0]", "({W}) % {t}.shape[0] - {t}.shape[0]", "({w} + 1) % 2", "{W}"],
    "E": ["({W}) % {t}.shape[-1]", "({W}) % {t}.shape[-1]", "-1 - ({W}) % {t}.shape[-1]", "({w} + 1) % 2", "{W}"],
}

_NUMBERS = [
    "{number} = {W}", "{number} = {R}", "obj.calls += 1", "COUNT += 1", "obj.rate = obj.rate * 0.9", "obj.rate = {R}",
    "obj.calls = {W}", 'batch["k"] += 1', "batch['o'].k = {W}", 'batch["r"] = {R}', "COUNT = COUNT * 2 + {w}",
    'state["step"] = state.get("step", 0) + 1', "{number} = KIND(max({w}, {r}))",
    "{number} = sum([i * {w} for i in range(3)])"]
_WITH_TENSORS = [
    "{new} = {t} * {N}", "{new} = {t} + {N}", "{new} = {N} - {t}", "{new} = {t} / ({N} + 9)", "{new} = {t}.clamp(max={R})",
    "{new} = torch.full_like({t}, {N})", "{new} = torch.where({t} > {R}, {t}, {N})", "{new} = {t}[{S}]",
    "{new} = {t}[..., {E}]",
    "{new} = {t}.select(0, {S})", "{new} = {t}.select(-1, {E})", "{new} = {t}.narrow(0, {S}, 1)", "{new} = {t}.roll({W}, 0)",
    "{new} = {t}.roll(({W}, 1), (0, -1))", "{new} = torch.tensor([{N}, {R}], dtype=torch.float64)",
    "{new} = torch.full((2,), {R}, dtype=torch.float64)", "i = {W}\n{new} = torch.arange(i, i + 3) * 1.5",
    "i = {S}\n{new} = SHAPE({t}[i:i + 2])", "i = {E}\n{new} = SHAPE({t}[..., i:i + 2]) * 1", "{new} = {t}[{S}, None]",
    "{new} = {t}[[int({S}), 0]]", "{new} = torch.lerp({t}, {t} * 2, {R})", "{new} = F.leaky_relu({t}, {R})",
    "{new} = {t}.detach() ** ({W} % 3)", "{new} = {t}.mul({N}).add({t}, alpha={N})", "{new} = {t}.sum() * {N}",
    "{new} = {t}.index_select(0, torch.tensor([{S}, 0]))", "{new} = {t}.unsqueeze(0).expand(VALUE({W} % 3 + 1), *{t}.shape)",
    "{new} = {t}.diagonal(VALUE({W} % 2))", "{new} = torch.zeros(VALUE({W} % 3 + 1), dtype=torch.float64) + {R}",
    "WRITTEN({t})[{S}] = {N}", "WRITTEN({t})[{S}] += 1", "WRITTEN({t})[..., {E}] = {N}", "WRITTEN({t})[..., {E}] *= {R}",
    "WRITTEN({t}).mul_({R})", "WRITTEN({t}).add_(like(torch, {t}, {u}), alpha={W})", "WRITTEN({t}).fill_({N})",
    "WRITTEN({t}).clamp_(max={R})", "WRITTEN({t}).narrow(0, {S}, 1).copy_(like(torch, {t}, {u}))",
    "i = {S}\nSHAPE(WRITTEN({t})[i:i + 2]).fill_({R})", "WRITTEN({t}).select(-1, {E}).zero_()",
    "WRITTEN({t}).index_fill_(0, torch.tensor([{S}]), {N})", "WRITTEN({t})[{S}] = {t}[0] * {N}",
    "with torch.no_grad():\n    p.mul_({R})", "with torch.no_grad():\n    p[{w} % 4] = {R}",
    "WRITTEN({t})[{S}] = like(torch, {t}, {u})", "WRITTEN({t}).add_({u}.clone(), alpha={N})"]
_FORMER = [  # of the programs without a world
    f"{{new}} = do_{name}(torch, {{t}}, {{u}}, {k})" for name, k in (
        ("transpose", 1), ("T", 0), ("reshape", 0), ("select", 1), ("tail", 0), ("even", 0), ("narrow", 1), ("unsqueeze", 0),
        ("diagonal", 0), ("unfold", 0), ("chunk", 0), ("expand", 0), ("detach", 0), ("affine", 0), ("cos", 0), ("clone", 0),
        ("sum", 0), ("gathered", 1), ("where", 1), ("zeros_like", 0), ("mul", 0), ("add", 0))] + [
    f"do_{name}(torch, WRITTEN({{t}}), {{u}}.clone(), {k})" for name, k in (
        ("mul_", 0), ("zero_", 0), ("tanh_", 0), ("tril_", 0), ("add_", 1), ("copy_", 0), ("iadd", 0), ("sub_self", 0),
        ("masked_fill_", 1), ("index_add_", 1), ("set_row", 0), ("set_even", 1), ("set_mask", 2), ("set_self",
    0), ("out_mul", 0))]
_CONTAINERS = [
    "{L}.append({V})", "{L}.append({V})", "{L}.append({N})", "{L}.pop()", "{L}.insert(0, {V})", "{L}.extend([{V}, {V}])",
    "{L}.reverse()", "{L}.clear()", "{L}[-1] = {V}", "{L}[0], {L}[-1] = {L}[-1], {L}[0]", "del {L}[0]",
    "if SEEN(len({L}) > 2):\n    {L}.pop()", "if {L}:\n    {L}.pop()", "{L}.append([{V}, {N}])", "{L}.append({'k': {V}})",
    "{L}.append({L}[-1])", "{L}.append({D}.get({K}))", "{new} = {L}[-1].detach()", "{new} = {L}[0] * {N}",
    "{new} = sum([like(torch, p, t) for t in {L}], p)", "{new} = torch.stack([t.sum() for t in {L}])",
    "for t in {L}:\n    {new} = {new} + like(torch, {new}, t)",
    "{D}[{K}] = {V}", "{D}[{K}] = {V}", "{D}[{K}] = {N}", "{D}.pop({K}, None)", "{D}.update(u={V}, v={V})",
    "{D}[{K}] = ANEW({D}.pop({K}, None))", "{D}['l'] = ANEW([{V}, {'k': {V}}])", "{D}['same'] = ANEW({L})",
    "{D}['again'] = ANEW({D}.get({K}))",
    "{new} = {D}[{K}] * {N}", "{new} = {D}[{K}].detach()", "{new} = like(torch, p, {D}.get({K}, {t}))",
    "for key, v in list({D}.items()):\n    if hasattr(v, 'sum'):\n        {new} = {new} + like(torch, {new}, v)",
    "{D}.setdefault('d', {})[{K}] = {V}", "for v in {D}.values():\n    if hasattr(v, 'mul_'):\n        WRITTEN(v).mul_({R})",
    "{O}.{A} = {V}", "{O}.{A} = {O}.{A} * {R} + 1", "{O}.a, {O}.h = {V}, {V}", "{O}.{A} = ANEW({L})", "{new} = {O}.{A} * {N}",
    "{O}.extra = {N}", "if hasattr({O}, 'extra'):\n    del {O}.extra\nelse:\n    {O}.extra = ANEW({V})",
    "WRITTEN({O}.{A}).mul_({R})",
    "WRITTEN({L}[-1]).add_({N})", "WRITTEN({D}[{K}]).fill_({N})", "obj.items += [{V}]", "batch['l'] = {L}",
    "obj.items = ANEW([{V}, {N}])",
    "{D}[{K}] = ANEW(Record({V}, {N}))", "{L}.append(Record({V}, {W}))", "{D}.clear()"]
_CREATED = [
    "if 'm' not in state:\n    state['m'] = torch.zeros_like(p)",
    "state['m'] = state.get('m', 0) + like(torch, p, {t}).detach()",
    "if 'm' not in state:\n    state['m'] = torch.zeros_like({t})\n"
    "WRITTEN(state['m']).mul_(0.9).add_(like(torch, {t}, {t}).detach())",
    "if len(state) == 0:\n    state['step'], state['m'] = 0, torch.zeros_like(p)\nstate['step'] += 1\n"
    "WRITTEN(state['m']).mul_(0.9).add_(like(torch, p, {t}).detach(), alpha=1 - 0.9 ** state['step'])",
    "if obj.buf is None:\n    obj.buf = {V}\nelse:\n    WRITTEN(obj.buf).mul_({R})",
    "if obj.buf is None:\n    obj.buf = like(torch, p, {t}).detach().clone()\nelse:\n"
    "    obj.buf.mul_(0.9).add_(like(torch, p, {t}).detach())\n"
    "with torch.no_grad():\n    p.sub_(obj.buf, alpha=0.1)",
    "obj.h = obj.h * {N} + like(torch, p, {t}).detach()", "obj.h = {V}",
    "obj.buf = {V} if obj.buf is None else torch.cat([obj.buf, {V}])",
    "if not hasattr(obj, 'mask'):\n    obj.mask = torch.tril(torch.ones(4, 4))\n"
    "{new} = obj.mask * {N}", "if VALUE({W} % 2) not in obj.table:\n    obj.table[VALUE({W} % 2)] = ANEW({V})",
    "key = VALUE({W} % 2)\nif key not in obj.table:\n    obj.table[key] = {V}\n{new} = obj.table[key].detach()",
    "{new} = state.setdefault('mask', torch.ones(4, dtype=torch.float64)) * {N}",
    "if {C}:\n    state['v'] = {V}\nelse:\n    state.pop('v', None)",
    "state['prev'], state['last'] = ANEW(state.get('last')), {V}",
    "if 'first' not in state:\n    state['first'] = {V}\n{new} = {t} + like(torch, {t}, state['first'])",
    "if not state.get('ready'):\n    with torch.no_grad():\n        p.copy_(like(torch, p, {t}))\n    state['ready'] = True",
    "state['count'] = state.get('count', torch.zeros(())) + 1", "obj.scale = {R}\n{new} = {t} * obj.scale",
    "state['hist'] = ANEW(state.get('hist', []) + [{V}])", "if obj.buf is not None:\n    obj.buf = obj.buf + 1",
    "obj.table['keep'] = ANEW(obj.h)\nobj.h = obj.h + 1"]
FAMILIES = {"number": _NUMBERS, "number with tensors": _WITH_TENSORS, "former": _FORMER, "container": _CONTAINERS,
            "created": _CREATED}
