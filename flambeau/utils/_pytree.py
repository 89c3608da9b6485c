"""`torch.utils._pytree`: nested containers as a list of leaves and a description of what was around them."""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

from ..tracer.tensor.context import context

PyTree: TypeAlias = Any
Context: TypeAlias = Any
Test = Callable[[Any], bool] | None


class SequenceKey(NamedTuple):
    """A step to an item of a sequence."""

    idx: int

    def __str__(self) -> str:
        return f"[{self.idx!r}]"


class MappingKey(NamedTuple):
    """A step to a value of a mapping."""

    key: Any

    def __str__(self) -> str:
        return f"[{self.key!r}]"


class GetAttrKey(NamedTuple):
    """A step to a field."""

    name: str

    def __str__(self) -> str:
        return f".{self.name}"


class NodeDef(NamedTuple):
    """How a kind of container is taken apart and put together, and the steps to its parts."""

    flatten_fn: Callable[[Any], tuple[list[Any], Any]]
    unflatten_fn: Callable[[Iterable[Any], Any], Any]
    keys: Callable[[Any], list[Any]]


def _sequence(kind: Callable[[Iterable[Any]], Any]) -> NodeDef:
    return NodeDef(lambda x: (list(x), None), lambda parts, _: kind(parts), lambda x: [SequenceKey(i) for i in range(len(x))])


def _mapping(kind: Callable[..., Any], context: Callable[[Any], Any] = list, keys: Callable[[Any], Any] = lambda c: c,
             make: Any = None) -> NodeDef:
    make = make or (lambda context, pairs: kind(pairs))
    return NodeDef(lambda x: (list(x.values()), context(x)), lambda parts, c: make(c, zip(keys(c), parts)),
                   lambda x: [MappingKey(key) for key in x])


_NAMED = NodeDef(lambda x: (list(x), type(x)), lambda parts, kind: kind(*parts), lambda x: [GetAttrKey(f) for f in x._fields])
SUPPORTED_NODES: dict[type, NodeDef] = {
    dict: _mapping(dict), OrderedDict: _mapping(OrderedDict), list: _sequence(list), tuple: _sequence(tuple),
    defaultdict: _mapping(defaultdict, lambda x: (x.default_factory, list(x)), lambda c: c[1],
                          lambda c, pairs: defaultdict(c[0], pairs)),
    deque: NodeDef(lambda x: (list(x), x.maxlen), lambda parts, most: deque(parts, most),
                   lambda x: [SequenceKey(i) for i in range(len(x))]),
}


def register_pytree_node(cls: type, flatten_fn: Any, unflatten_fn: Any, *, serialized_type_name: str | None = None,
                         to_dumpable_context: Any = None, from_dumpable_context: Any = None,
                         flatten_with_keys_fn: Any = None) -> None:
    """Let a class be a container: `flatten_fn(x)` gives (parts, context), `unflatten_fn(parts, context)` the container."""
    if cls in SUPPORTED_NODES:
        raise ValueError(f"{cls} is already registered as pytree node.")
    keys = (lambda x: [key for key, _ in flatten_with_keys_fn(x)[0]]) if flatten_with_keys_fn else (
        lambda x: [SequenceKey(i) for i in range(len(flatten_fn(x)[0]))])
    SUPPORTED_NODES[cls] = NodeDef(flatten_fn, unflatten_fn, keys)


def is_namedtuple_class(cls: type) -> bool:
    """Whether it is a class of named tuples."""
    return isinstance(cls, type) and issubclass(cls, tuple) and isinstance(getattr(cls, "_fields", None), tuple)


def is_namedtuple_instance(obj: object) -> bool:
    """Whether it is a named tuple."""
    return is_namedtuple_class(type(obj))


def is_namedtuple(obj: Any) -> bool:
    """Whether it is a named tuple, or a class of them."""
    return is_namedtuple_class(obj if isinstance(obj, type) else type(obj))


def is_structseq(obj: Any) -> bool:
    """Whether it is a result of several tensors in C: those here are named tuples."""
    return False


is_structseq_class = is_structseq_instance = is_structseq


def _node(x: Any) -> NodeDef | None:
    trace = context.trace
    if trace is not None:
        trace.guard("what register_pytree_node was told", lambda: len(SUPPORTED_NODES))
        if type(x) in SUPPORTED_NODES:
            trace.follow(SUPPORTED_NODES[type(x)].flatten_fn)
            trace.follow(SUPPORTED_NODES[type(x)].unflatten_fn)
    return SUPPORTED_NODES.get(type(x)) or (_NAMED if is_namedtuple_instance(x) else None)


@dataclass(frozen=True)
class TreeSpec:
    """What is around the leaves: a kind of container, what it has besides its parts, and what is around theirs."""

    type: Any
    context: Any
    children_specs: list[TreeSpec]
    num_nodes: int = field(init=False)
    num_leaves: int = field(init=False)
    num_children: int = field(init=False)

    def __post_init__(self) -> None:
        parts = self.children_specs
        for name, value in (("num_nodes", 1 + sum(p.num_nodes for p in parts)), ("num_children", len(parts)),
                            ("num_leaves", sum(p.num_leaves for p in parts) if self.type is not None else 1)):
            object.__setattr__(self, name, value)

    def is_leaf(self) -> bool:
        """Whether it is of a leaf."""
        return self.type is None

    def children(self) -> list[TreeSpec]:
        """What is around the parts."""
        return list(self.children_specs)

    def child(self, index: int) -> TreeSpec:
        """What is around one part."""
        return self.children_specs[index]

    def unflatten(self, leaves: Iterable[Any]) -> Any:
        """These leaves in it."""
        return tree_unflatten(leaves, self)

    def __repr__(self) -> str:
        if self.type is None:
            return "*"
        return f"TreeSpec({self.type.__name__}, {self.context!r}, [{', '.join(map(repr, self.children_specs))}])"


PyTreeSpec = TreeSpec


def LeafSpec() -> TreeSpec:
    """Of a leaf."""
    return TreeSpec(None, None, [])


def tree_is_leaf(tree: Any, is_leaf: Test = None) -> bool:
    """Whether it is no container, or one that `is_leaf` says to be a leaf."""
    return bool(is_leaf and is_leaf(tree)) or _node(tree) is None


def tree_flatten(tree: Any, is_leaf: Test = None) -> tuple[list[Any], TreeSpec]:
    """The leaves, and what is around them.

    >>> tree_flatten({"a": 1, "b": (2, [3])})[0]
    [1, 2, 3]
    """
    leaves: list[Any] = []
    return leaves, _flatten(tree, is_leaf, leaves)


def _flatten(tree: Any, is_leaf: Test, leaves: list[Any]) -> TreeSpec:
    if tree_is_leaf(tree, is_leaf):
        leaves.append(tree)
        return LeafSpec()
    node = _node(tree)
    assert node is not None
    parts, context = node.flatten_fn(tree)
    kind = type(tree) if type(tree) in SUPPORTED_NODES else tuple
    return TreeSpec(kind, context, [_flatten(part, is_leaf, leaves) for part in parts])


def tree_unflatten(leaves: Iterable[Any], treespec: TreeSpec) -> Any:
    """The leaves in what was around others; ValueError if there are more or fewer."""
    leaves = list(leaves)
    if len(leaves) != treespec.num_leaves:
        raise ValueError(f"tree_unflatten(leaves, treespec): `leaves` has length {len(leaves)} but the spec refers to a pytree "
                         f"that holds {treespec.num_leaves} items ({treespec}).")
    return _unflatten(iter(leaves), treespec)


def _unflatten(leaves: Iterator[Any], spec: TreeSpec) -> Any:
    if spec.type is None:
        return next(leaves)
    node = _NAMED if spec.type is tuple and spec.context is not None else SUPPORTED_NODES[spec.type]
    return node.unflatten_fn([_unflatten(leaves, part) for part in spec.children_specs], spec.context)


def tree_leaves(tree: Any, is_leaf: Test = None) -> list[Any]:
    """The leaves."""
    return tree_flatten(tree, is_leaf)[0]


def tree_iter(tree: Any, is_leaf: Test = None) -> Iterator[Any]:
    """The leaves, one by one."""
    return iter(tree_leaves(tree, is_leaf))


def tree_structure(tree: Any, is_leaf: Test = None) -> TreeSpec:
    """What is around the leaves."""
    return tree_flatten(tree, is_leaf)[1]


def _flatten_up_to(spec: TreeSpec, tree: Any) -> list[Any]:
    """The parts of a tree at the leaves of another."""
    if spec.type is None:
        return [tree]
    node = _node(tree)
    parts = None if node is None else node.flatten_fn(tree)[0]
    if parts is None or len(parts) != len(spec.children_specs):
        raise ValueError(f"Node type mismatch; expected {spec}, but got {type(tree)}.")
    return [leaf for part, below in zip(parts, spec.children_specs) for leaf in _flatten_up_to(below, part)]


def tree_map(func: Callable[..., Any], tree: Any, *rests: Any, is_leaf: Test = None) -> Any:
    """A tree of func(leaf, ...) of trees that are alike.

    >>> tree_map(lambda x, y: x + y, {"a": 1, "b": [2]}, {"a": 10, "b": [20]})
    {'a': 11, 'b': [22]}
    """
    leaves, spec = tree_flatten(tree, is_leaf)
    return tree_unflatten([func(*row) for row in zip(leaves, *(_flatten_up_to(spec, rest) for rest in rests))], spec)


def tree_map_(func: Callable[..., Any], tree: Any, *rests: Any, is_leaf: Test = None) -> Any:
    """The tree itself, after func(leaf, ...) of each."""
    tree_map(func, tree, *rests, is_leaf=is_leaf)
    return tree


def _chooses(types: Any) -> Callable[[Any], bool]:
    return types if callable(types) and not isinstance(types, type) else lambda x: isinstance(x, types)


def tree_map_only(type_or_types_or_pred: Any, /, func: Callable[[Any], Any], tree: Any, is_leaf: Test = None) -> Any:
    """`tree_map` on leaves of some types, or of which a function says so; the others stay."""
    chosen = _chooses(type_or_types_or_pred)
    return tree_map(lambda x: func(x) if chosen(x) else x, tree, is_leaf=is_leaf)


def tree_map_only_(type_or_types_or_pred: Any, /, func: Callable[[Any], Any], tree: Any, is_leaf: Test = None) -> Any:
    """The tree itself, after `func` of some leaves."""
    tree_map_only(type_or_types_or_pred, func, tree, is_leaf)
    return tree


def tree_all(pred: Callable[[Any], bool], tree: Any, is_leaf: Test = None) -> bool:
    """Whether it holds for all leaves."""
    return all(map(pred, tree_leaves(tree, is_leaf)))


def tree_any(pred: Callable[[Any], bool], tree: Any, is_leaf: Test = None) -> bool:
    """Whether it holds for a leaf."""
    return any(map(pred, tree_leaves(tree, is_leaf)))


def tree_all_only(type_or_types: Any, /, pred: Callable[[Any], bool], tree: Any, is_leaf: Test = None) -> bool:
    """Whether it holds for all leaves of these types."""
    return all(pred(x) for x in tree_leaves(tree, is_leaf) if isinstance(x, type_or_types))


def tree_any_only(type_or_types: Any, /, pred: Callable[[Any], bool], tree: Any, is_leaf: Test = None) -> bool:
    """Whether it holds for a leaf of these types."""
    return any(pred(x) for x in tree_leaves(tree, is_leaf) if isinstance(x, type_or_types))


# --- With paths -------------------------------------------------------------------------------------------------------


def tree_leaves_with_path(tree: Any, is_leaf: Test = None) -> list[tuple[tuple[Any, ...], Any]]:
    """(path, leaf) pairs."""
    return list(_paths(tree, (), is_leaf))


def _paths(tree: Any, path: tuple[Any, ...], is_leaf: Test) -> Iterator[tuple[tuple[Any, ...], Any]]:
    if tree_is_leaf(tree, is_leaf):
        yield path, tree
        return
    node = _node(tree)
    assert node is not None
    for key, part in zip(node.keys(tree), node.flatten_fn(tree)[0]):
        yield from _paths(part, (*path, key), is_leaf)


def tree_flatten_with_path(tree: Any, is_leaf: Test = None) -> tuple[list[tuple[tuple[Any, ...], Any]], TreeSpec]:
    """(path, leaf) pairs, and what is around the leaves."""
    return tree_leaves_with_path(tree, is_leaf), tree_structure(tree, is_leaf)


def tree_map_with_path(func: Callable[..., Any], tree: Any, *rests: Any, is_leaf: Test = None) -> Any:
    """A tree of func(path, leaf, ...)."""
    found, spec = tree_flatten_with_path(tree, is_leaf)
    rows = zip(found, *(_flatten_up_to(spec, rest) for rest in rests))
    return tree_unflatten([func(*pair, *others) for pair, *others in rows], spec)


def keystr(kp: tuple[Any, ...]) -> str:
    """A path as text.

    >>> keystr(tree_leaves_with_path({"a": [1]})[0][0])
    "['a'][0]"
    """
    return "".join(map(str, kp))


def key_get(obj: Any, kp: tuple[Any, ...]) -> Any:
    """What is at the end of a path."""
    for step in kp:
        obj = getattr(obj, step.name) if isinstance(step, GetAttrKey) else obj[step[0]]
    return obj


__all__ = ["Context", "LeafSpec", "PyTree", "PyTreeSpec", "TreeSpec", "is_namedtuple", "is_namedtuple_class",
           "is_namedtuple_instance", "is_structseq", "is_structseq_class", "is_structseq_instance", "key_get", "keystr",
           "register_pytree_node", "tree_all", "tree_all_only", "tree_any", "tree_any_only", "tree_flatten",
           "tree_flatten_with_path", "tree_is_leaf", "tree_iter", "tree_leaves", "tree_leaves_with_path", "tree_map", "tree_map_",
           "tree_map_only", "tree_map_only_", "tree_map_with_path", "tree_structure", "tree_unflatten"]
