"""The house rules, read from the source: who imports whom, what is loaded when, and one copy of everything."""

from __future__ import annotations

import ast
import inspect
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

import flambeau
from flambeau.tracer.ops import OPS, Op

ROOT = Path(__file__).parents[1]
FOLDERS = ("tracer", "lowering", "runtime", "nn", "optim")

# What each folder may import of ours, beside itself. The face, `flambeau`, may import everything.
MAY_IMPORT = {"tracer": set(), "lowering": {"tracer"}, "runtime": {"tracer", "lowering"}, "nn": {"tracer"},
              "optim": {"tracer", "nn"}}

# The rooms of `tracer/`, from the ground up: a room imports from those of a lower rank, and from itself.
ROOMS = {"ir": 0, "walks": 1, "backend": 2, "ops": 3, "tensor": 4, "guards": 5, "lazy": 5, "functions": 6,
         "transforms": 7, "jit": 7, "autograd": 8}

# Imports of ours that are not at the top of a file, each with its reason.
LATE = {
    ("flambeau/__init__.py", "a lambda", "flambeau.runtime.engine"): "`import flambeau` must load no jaxlib",
    ("flambeau/__init__.py", "__getattr__", "flambeau.fft"): "a namespace is loaded when it is first used",
    ("flambeau/__init__.py", "__getattr__", "flambeau.masked"): "a namespace is loaded when it is first used",
    ("flambeau/__init__.py", "__getattr__", "flambeau.profiler"): "a namespace is loaded when it is first used",
    ("flambeau/autograd/__init__.py", "__getattr__", "flambeau.autograd.profiler"): "a profiler is seldom used",
    ("flambeau/__init__.py", "__getattr__", "flambeau.signal"): "a namespace is loaded when it is first used",
    ("flambeau/__init__.py", "__getattr__", "flambeau.storage"): "a namespace is loaded when it is first used",
    ("flambeau/__init__.py", "__getattr__", "flambeau.overrides"): "a namespace is loaded when it is first used",
    ("flambeau/__init__.py", "__getattr__", "flambeau.quasirandom"): "a namespace is loaded when it is first used",
    ("flambeau/__init__.py", "__getattr__", "flambeau.__future__"): "a namespace is loaded when it is first used",
    ("flambeau/__init__.py", "__getattr__", "flambeau.special"): "a namespace is loaded when it is first used",
    ("flambeau/__init__.py", "__getattr__", "flambeau.runtime.aot"): "`import flambeau` must load no jaxlib",
    ("flambeau/__init__.py", "__getattr__", "flambeau.runtime.jax_call"): "`import flambeau` must load no jax",
    ("flambeau/__init__.py", "__getattr__", "flambeau.distributions"): "a namespace is loaded when it is first used",
    ("flambeau/__init__.py", "__getattr__", "flambeau.linalg"): "a namespace is loaded when it is first used",
    ("tracer/jit/__init__.py", "__getattr__", "flambeau.tracer.jit.jit"): "what compiles is loaded when something is compiled",
    ("runtime/checkpoint.py", "save", "flambeau.runtime.torch_writer"):
        "a zip writer and a pickler, which few programs need at their start",
    ("runtime/checkpoint.py", "_load_torchs", "flambeau.runtime.torch_file"):
        "a reader of pickles, which few programs need at their start",
    ("flambeau/serialization.py", "get_unsafe_globals_in_checkpoint", "flambeau.runtime.torch_file"): "as above",
    ("flambeau/utils/__init__.py", "__getattr__", "flambeau.utils.data"): "`import flambeau` must load no multiprocessing",
    ("flambeau/__main__.py", "main", "flambeau.info"): "a wrong argument is told without loading the engine",
    ("flambeau/__main__.py", "main", "flambeau.demo.run"): "a wrong argument is told without loading the engine",
}


# Modules that import what they are asked for by name: those of torch's names.
COMPUTED = {"flambeau.absent", "flambeau.aliases", "flambeau.compat", "flambeau.shim"}


@dataclass(frozen=True)
class Import:
    """An import statement: where it is, what it asks for, and the function around it (None at the top level)."""

    file: str
    line: int
    target: str
    function: str | None
    typing_only: bool

    def __str__(self) -> str:
        return f"{self.file}:{self.line} imports {self.target}"


# --- Reading the source -----------------------------------------------------------------------------------------------


@cache
def modules() -> dict[str, Path]:
    """Every module of the package by its name, the files without the detour through the symlinks."""
    found = {}
    for folder in (*FOLDERS, "flambeau"):
        for directory, inner, files in os.walk(ROOT / folder):  # does not follow symlinks
            inner[:] = [d for d in inner if d != "__pycache__"]
            for file in files:
                if file.endswith(".py"):
                    path = Path(directory, file)
                    parts = path.relative_to(ROOT).with_suffix("").parts
                    parts = parts if folder == "flambeau" else ("flambeau", *parts)
                    found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def test_all_folders_are_seen() -> None:
    packages = {name.split(".")[1] for name in modules() if name.count(".")}
    assert packages >= set(FOLDERS)
    assert len(modules()) > 80


def _targets(node: ast.AST, name: str, is_package: bool) -> list[str]:
    """Full names of what an import statement, or a call of `import_module` with a literal, asks for."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        base = _absolute("." * node.level + (node.module or ""), name, is_package)
        return [f"{base}.{a.name}" if f"{base}.{a.name}" in modules() else base for a in node.names]
    if isinstance(node, ast.Call) and _called(node) in ("import_module", "__import__") and node.args:
        text = node.args[0]
        if name in COMPUTED:
            return []
        assert isinstance(text, ast.Constant), f"{name}:{node.lineno}: an import of a computed name cannot be checked"
        return [_absolute(str(text.value), name, is_package)]
    return []


def _called(node: ast.Call) -> str:
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    return name if name == "__import__" else name.lstrip("_")


def _absolute(text: str, name: str, is_package: bool) -> str:
    module = text.lstrip(".")
    level = len(text) - len(module)
    if not level:
        return module
    package = name.split(".") if is_package else name.split(".")[:-1]
    package = package[:len(package) - (level - 1)]
    return ".".join([*package, module] if module else package)


def _walk(node: ast.AST, function: str | None = None, typing_only: bool = False
          ) -> Iterator[tuple[ast.AST, str | None, bool]]:
    for child in ast.iter_child_nodes(node):
        inside = function
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            inside = function or child.name
        elif isinstance(child, ast.Lambda):
            inside = function or "a lambda"
        checking = typing_only or (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test))
        yield child, inside, checking
        yield from _walk(child, inside, checking)


@cache
def imports() -> list[tuple[str, Import]]:
    """All imports of the package, each with the module that has it."""
    found = []
    for name, path in modules().items():
        file = str(path.relative_to(ROOT))
        for node, function, typing_only in _walk(ast.parse(path.read_text(encoding="utf-8"))):
            for target in _targets(node, name, path.name == "__init__.py"):
                found.append((name, Import(file, node.lineno, target, function, typing_only)))
    return found


def ours(target: str) -> bool:
    return target.split(".")[0] == "flambeau"


def folder_of(name: str) -> str | None:
    """`nn` for `flambeau.nn.linear`; None for the face."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in FOLDERS else None


# --- Who imports whom -------------------------------------------------------------------------------------------------


def test_folders_import_in_the_order_of_the_pipeline() -> None:
    wrong = [str(i) for name, i in imports() if (folder := folder_of(name)) and ours(i.target)
             and folder_of(i.target) not in MAY_IMPORT[folder] | {folder}]
    assert not wrong, wrong


def room_of(name: str) -> str | None:
    """`tensor` for `flambeau.tracer.tensor.storage`; None outside `tracer/`."""
    parts = name.split(".")
    return parts[2] if parts[:2] == ["flambeau", "tracer"] and len(parts) > 2 else None


def test_rooms_import_downwards() -> None:
    """Imports for typing count."""
    assert {room for name in modules() if (room := room_of(name))} == set(ROOMS)
    wrong = [str(i) for name, i in imports() if (room := room_of(name)) and (other := room_of(i.target)) and other != room
             and ROOMS[other] >= ROOMS[room]]
    assert not wrong, wrong


def test_inside_the_package_imports_are_relative() -> None:
    wrong = []
    for name, path in modules().items():
        for node, _, _ in _walk(ast.parse(path.read_text(encoding="utf-8"))):
            if folder_of(name) and not getattr(node, "level", 0) and isinstance(node, ast.Import | ast.ImportFrom):
                wrong += [f"{path}:{node.lineno}" for t in _targets(node, name, False)
                          if t.split(".")[0] in (*FOLDERS, "flambeau")]
    assert not wrong, wrong


def test_layers_and_optimizers_use_public_names_of_the_tracer() -> None:
    wrong = []
    for name, path in modules().items():
        if folder_of(name) in ("nn", "optim"):
            for node, _, _ in _walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ImportFrom) and "tracer" in (node.module or ""):
                    wrong += [f"{path}:{node.lineno} {a.name}" for a in node.names if a.name.startswith("_")]
    assert not wrong, wrong


def test_only_the_runtime_knows_jax() -> None:
    wrong = [str(i) for name, i in imports() if i.target.split(".")[0] in ("jax", "jaxlib")
             and folder_of(name) != "runtime"]
    assert not wrong, wrong


def test_nothing_imports_torch_or_test_libraries() -> None:
    wrong = [str(i) for _, i in imports() if i.target.split(".")[0] in ("torch", "safetensors", "pytest", "tests")]
    assert not wrong, wrong


def test_jax_is_not_our_implementation() -> None:
    """Only `jax_call` uses it, on JAX functions that the user brings."""
    banned = {"jax.numpy", "jax.jit", "jax.grad", "jax.vjp", "jax.lax", "jax.vmap", "jax.nn"}
    wrong = [str(i) for _, i in imports() if any(i.target == b or i.target.startswith(b + ".") for b in banned)]
    for path in set(modules().values()) - {modules()["flambeau.runtime.jax_call"]}:
        for node, _, _ in _walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and ast.unparse(node) in banned:
                wrong.append(f"{path}:{node.lineno} uses {ast.unparse(node)}")
            if isinstance(node, ast.ImportFrom) and not node.level:
                wrong += [f"{path}:{node.lineno}" for a in node.names if f"{node.module}.{a.name}" in banned]
    assert not wrong, wrong


def test_no_import_of_ours_hides_in_a_function() -> None:
    late = {(i.file, i.function, i.target): i for _, i in imports() if ours(i.target) and i.function}
    unknown = [str(late[key]) for key in late.keys() - LATE.keys()]
    assert not unknown, unknown
    gone = LATE.keys() - late.keys()
    assert not gone, f"no longer in the source: {gone}"


def test_no_import_cycles() -> None:
    """Edges are the modules that an import names, at the top level and when the program runs."""
    edges: dict[str, set[str]] = {name: set() for name in modules()}
    for name, i in imports():
        if i.target in edges and i.target != name and i.function is None and not i.typing_only:
            edges[name].add(i.target)
    cycles = [sorted(c) for c in components(edges) if len(c) > 1]
    assert not cycles, cycles


def test_circles_of_typing_imports_stay_in_one_room() -> None:
    edges: dict[str, set[str]] = {name: set() for name in modules()}
    for name, i in imports():
        if i.target in edges and i.target != name and i.function is None:
            edges[name].add(i.target)
    circles = [sorted(c) for c in components(edges) if len({room_of(n) or folder_of(n) for n in c}) > 1]
    assert not circles, circles


def components(edges: dict[str, set[str]]) -> list[set[str]]:
    """Strongly connected components (Kosaraju's two passes)."""
    order: list[str] = []
    seen: set[str] = set()
    for start in edges:
        visit(start, edges, seen, order)
    back: dict[str, set[str]] = {name: set() for name in edges}
    for name, targets in edges.items():
        for target in targets:
            back[target].add(name)
    found, done = [], set[str]()
    for start in reversed(order):
        component: list[str] = []
        visit(start, back, done, component)
        if component:
            found.append(set(component))
    return found


def visit(start: str, edges: dict[str, set[str]], seen: set[str], order: list[str]) -> None:
    """Append to `order` what can be reached from `start` and is not seen, each after what it reaches."""
    if start not in seen:
        seen.add(start)
        for target in sorted(edges[start]):
            visit(target, edges, seen, order)
        order.append(start)


def test_cycles_would_be_found() -> None:
    found = components({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}, "e": set()})
    assert {"a", "b", "c"} in found
    assert len(found) == 3


# --- What is loaded ---------------------------------------------------------------------------------------------------


def test_importing_loads_neither_jax_nor_jaxlib() -> None:
    code = "import sys, flambeau; print(sorted({m.split('.')[0] for m in sys.modules} & {'jax', 'jaxlib', 'torch'}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_one_copy_of_the_package_is_loaded() -> None:
    """In a full run pytest has imported every module by now, for doctests; none may have come in under a second name."""
    assert not [name for name in sys.modules if name.split(".")[0] in FOLDERS]
    homes = [ROOT / folder for folder in (*FOLDERS, "flambeau", "tests")]
    by_file: dict[str, set[int]] = {}
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if file and name != "__main__" and any(Path(file).resolve().is_relative_to(home) for home in homes):
            by_file.setdefault(str(Path(file).resolve()), set()).add(id(module))
    assert by_file
    assert not [file for file, copies in by_file.items() if len(copies) > 1]


# --- The tree ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", FOLDERS)
def test_symlinks_are_relative(folder: str) -> None:
    link = ROOT / "flambeau" / folder
    assert link.is_symlink()
    assert os.readlink(link) == f"../{folder}"


def test_the_root_is_no_package() -> None:
    assert not (ROOT / "__init__.py").exists()
    assert (ROOT / "flambeau" / "py.typed").exists()


def test_every_folder_of_the_package_is_packaged() -> None:
    """setuptools leaves out a folder without `__init__.py`."""
    missing = {path.parent for path in modules().values()} - {p.parent for p in modules().values()
                                                             if p.name == "__init__.py"}
    assert not missing


# --- Sizes ------------------------------------------------------------------------------------------------------------

# Files of more than 500 lines and classes of more than 300, with ceilings that may only fall.
LONG_FILES = {"tracer/ops/elementwise.py": 590, "tracer/tensor/tensor.py": 715, "nn/module.py": 660}
LONG_CLASSES = {"Tensor": 600, "Module": 570, "Optimizer": 320, "Reachable": 368}


def test_files_are_short() -> None:
    long = {str(path.relative_to(ROOT)): count for path in modules().values()
            if (count := path.read_text(encoding="utf-8").count("\n")) > 500}
    assert long.keys() == LONG_FILES.keys(), long
    assert all(count <= LONG_FILES[file] for file, count in long.items()), long


def classes() -> Iterator[tuple[str, ast.ClassDef]]:
    for name, path in modules().items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                yield name, node


def lines_of(node: ast.ClassDef) -> int:
    return (node.end_lineno or 0) - node.lineno + 1


def test_classes_are_short() -> None:
    long = {node.name: lines_of(node) for _, node in classes() if lines_of(node) > 300}
    assert long.keys() == LONG_CLASSES.keys(), long
    assert all(count <= LONG_CLASSES[name] for name, count in long.items()), long


def test_classes_of_jit_are_small() -> None:
    """At most 150 lines and 25 attributes."""
    large = {}
    for name, node in classes():
        if room_of(name) == "jit":
            attributes = {s.target.id for s in node.body if isinstance(s, ast.AnnAssign) and isinstance(s.target, ast.Name)}
            attributes |= {x.attr for x in ast.walk(node) if isinstance(x, ast.Attribute) and isinstance(x.ctx, ast.Store)
                           and isinstance(x.value, ast.Name) and x.value.id == "self"}
            if lines_of(node) > 150 or len(attributes) > 25:
                large[node.name] = lines_of(node), len(attributes)
    assert not large, large


def test_the_map_is_the_table_of_rooms() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = text[text.index("The rooms of `tracer/`"):text.index("Imports go one way")]
    shown = [line.split("`")[1].rstrip("/").removesuffix(".py") for line in table.splitlines() if line.startswith("| `")]
    assert sorted(shown) == sorted(ROOMS) and shown == sorted(shown, key=lambda room: ROOMS[room])


# --- Ops --------------------------------------------------------------------------------------------------------------

RULES = ("infer", "reference", "lower", "vjp", "batch")


def test_there_are_ops() -> None:
    assert len(OPS) > 80


@pytest.mark.parametrize("op", OPS.values(), ids=OPS)
def test_an_op_record_is_complete(op: Op) -> None:
    assert OPS[op.name] is op
    assert op.name.isidentifier()
    for rule in RULES:
        assert callable(getattr(op, rule)), rule
    first = {"lower": ["h"], "vjp": ["g", "out"], "batch": ["size", "batched"]}
    for rule, names in first.items():
        assert list(inspect.signature(getattr(op, rule)).parameters)[:len(names)] == names, rule


# Primitives that are named where an import would close a circle: the file has what the primitive's own is made of.
BY_NAME = {
    ("tracer/ops/structural.py", "reduce_sum"): "`reduction` stands on `structural`",
    ("tracer/ops/places.py", "gather"): "`indexing` stands on `places`",
    ("tracer/ops/places.py", "scatter"): "`indexing` stands on `places`",
}


def names_looked_up(tree: ast.AST) -> set[str]:
    """The primitives that code takes from `OPS`, or by `registered`, by a name that it spells out."""
    keys = [node.slice for node in ast.walk(tree) if isinstance(node, ast.Subscript) and _last_name(node.value) == "OPS"]
    keys += [a for node in ast.walk(tree) if isinstance(node, ast.Call) and _last_name(node.func) == "registered"
             for a in node.args]
    return {name for key in keys for name in _spelled_out(key)}


def _spelled_out(key: ast.AST) -> Iterator[str]:
    """`"add"`, and both of `"mul" if real else "dot"`."""
    if isinstance(key, ast.IfExp):
        yield from _spelled_out(key.body)
        yield from _spelled_out(key.orelse)
    elif isinstance(key, ast.Constant):
        yield key.value


def _last_name(node: ast.AST) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def test_primitives_are_imported_not_looked_up() -> None:
    """`OPS` is for names that are data; `ir` and `walks`, which stand below the primitives, have no other way."""
    found = {(str(path.relative_to(ROOT)), op) for name, path in modules().items() if room_of(name) not in ("ir", "walks")
             for op in names_looked_up(ast.parse(path.read_text(encoding="utf-8")))}
    assert found == BY_NAME.keys(), found ^ BY_NAME.keys()


def test_a_primitive_that_is_looked_up_would_be_found() -> None:
    code = 'OPS["add"], ir.OPS["mul" if real else "dot"].on(x), registered("neg"), OPS[name], OPS[names["sub"]]'
    assert names_looked_up(ast.parse(code)) == {"add", "mul", "dot", "neg"}


# --- Public names -----------------------------------------------------------------------------------------------------


def test_public_names_do_not_leak_modules_of_the_standard_library() -> None:
    leaked = [name for name, thing in vars(flambeau).items()
              if inspect.ismodule(thing) and not name.startswith("_") and not thing.__name__.startswith("flambeau")]
    assert not leaked, leaked
