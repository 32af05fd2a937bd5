"""The wrong changes that are made to a file, found in its syntax tree.

What is not code to be tested stays as it is: annotations, docstrings, decorators (how
much a cache remembers), and the options of a class.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

KINDS = ("boundary", "comparison", "arithmetic", "boolean", "number", "text", "return", "drop", "case")

_BOUNDARY = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt}
_OPPOSITE = {
    ast.Lt: ast.GtE,
    ast.LtE: ast.Gt,
    ast.Gt: ast.LtE,
    ast.GtE: ast.Lt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_ARITHMETIC = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitAnd,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}
_LONGEST = 70

Make = Callable[[Any], Any]
"""What stands in a node's place afterwards. It may change the node it is given."""


class Mutant(NamedTuple):
    """One wrong change.

    place:  `function` or `Class.function`, empty outside of any
    before, after: the changed part, as code
    nth:    which of those that look the same within the place
    """

    line: int
    place: str
    kind: str
    before: str
    after: str
    nth: int

    @property
    def name(self) -> str:
        """Says which it is, wherever in the file its function stands."""
        again = f" (the same, no. {self.nth + 1})" if self.nth else ""
        return f"{self.place or 'module'}: {self.before} → {self.after}{again}"


class Mutated(NamedTuple):
    """A wrong change, and how to make it: the node is the `node`th that ast.walk finds."""

    mutant: Mutant
    node: int
    make: Make


def mutants_of(source: str) -> list[Mutated]:
    """All that are made to this source, by line."""
    tree = ast.parse(source)
    found: list[Mutated] = []
    seen: dict[tuple[str, str, str], int] = {}
    places, left_alone = _places(tree), _left_alone(tree)
    for number, node in enumerate(ast.walk(tree)):
        if id(node) in left_alone:
            continue
        for kind, make in _changes(node):
            place, before = places.get(id(node), ""), _code(node)
            after = _code(make(copy.deepcopy(node)))
            nth = seen.get((place, before, after), 0)
            seen[place, before, after] = nth + 1
            line = _line(node)
            found.append(Mutated(Mutant(line, place, kind, before, after, nth), number, make))
    return sorted(found, key=lambda each: each.mutant.line)


def apply(source: str, mutated: Mutated) -> ast.Module:
    """The source with this change."""
    tree = ast.parse(source)
    target = next(node for number, node in enumerate(ast.walk(tree)) if number == mutated.node)

    class Replace(ast.NodeTransformer):
        def visit(self, node: ast.AST) -> ast.AST:
            return mutated.make(node) if node is target else self.generic_visit(node)

    Replace().visit(tree)
    return ast.fix_missing_locations(tree)


def shows_in(source: str, line: int) -> set[int]:
    """The lines that a change in this one shows in: itself, and where the table outside of functions is used that
    it stands in, if it does."""
    tree = ast.parse(source)
    tables = [each for each in tree.body if isinstance(each, ast.Assign | ast.AnnAssign)]
    found: set[int] = set()
    asked = {line}
    while asked - found:
        found |= asked
        changed = [each for each in tables if any(each.lineno <= at <= (each.end_lineno or 0) for at in asked)]
        within = [node for each in changed for node in ast.walk(each) if isinstance(node, ast.Name)]
        names = {node.id for node in within if isinstance(node.ctx, ast.Store)}
        used = [node for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)]
        asked = {node.lineno for node in used if node.id in names}
    return found


def _changes(node: ast.AST) -> Iterator[tuple[str, Make]]:
    match node:
        case ast.Compare():
            yield from _comparisons(node)
        case ast.BinOp() if type(node.op) in _ARITHMETIC:
            yield "arithmetic", lambda old: _with(old, op=_ARITHMETIC[type(old.op)]())
        case ast.AugAssign():
            if type(node.op) in _ARITHMETIC:
                yield "arithmetic", lambda old: _with(old, op=_ARITHMETIC[type(old.op)]())
            yield "drop", _nothing
        case ast.UnaryOp(op=ast.Not()):
            yield "boolean", lambda old: old.operand
        case ast.UnaryOp(op=ast.USub() | ast.Invert()):
            yield "arithmetic", lambda old: old.operand
        case ast.BoolOp():
            other = ast.Or if isinstance(node.op, ast.And) else ast.And
            yield "boolean", lambda old: _with(old, op=other())
        case ast.If() | ast.IfExp() | ast.While() if _is_bare(node.test):
            yield "boolean", lambda old: _with(old, test=_not(old.test))
        case ast.comprehension():
            for number in range(len(node.ifs)):
                yield "boolean", partial(_without_filter, number=number)
        case ast.Constant():
            yield from _constants(node)
        case ast.Return() if not (
            node.value is None or (isinstance(node.value, ast.Constant) and not node.value.value)
        ):
            yield "return", lambda old: _with(old, value=ast.Constant(None))
        case ast.match_case():
            yield "case", lambda old: _with(old, guard=ast.Constant(False))
            if node.guard is not None and _is_bare(node.guard):
                yield "boolean", lambda old: _with(old, guard=_not(old.guard))
        case ast.Expr() if not isinstance(node.value, ast.Constant):
            yield "drop", _nothing
        case ast.Raise() | ast.Continue() | ast.Break() | ast.Delete():
            yield "drop", _nothing
        case ast.Assign() if not any(isinstance(target, ast.Name | ast.Tuple) for target in node.targets):
            yield "drop", _nothing


def _comparisons(node: ast.Compare) -> Iterator[tuple[str, Make]]:
    for number, op in enumerate(node.ops):
        for kind, table in (("boundary", _BOUNDARY), ("comparison", _OPPOSITE)):
            other = table.get(type(op))
            if other is not None:
                yield kind, partial(_with_op, number=number, op=other())


def _constants(node: ast.Constant) -> Iterator[tuple[str, Make]]:
    match node.value:
        case bool():
            yield "boolean", lambda old: ast.Constant(not old.value)
        case int() | float():
            # One more is the same of a float that is large.
            yield (
                "number",
                lambda old: ast.Constant(old.value + 1 if old.value + 1 != old.value else old.value * 2),
            )
        case str():
            yield "text", lambda old: ast.Constant("" if old.value else "~")


def _with(node: ast.AST, **fields: object) -> ast.AST:
    for name, value in fields.items():
        setattr(node, name, value)
    return node


def _with_op(node: ast.Compare, number: int, op: ast.cmpop) -> ast.AST:
    node.ops[number] = op
    return node


def _without_filter(node: ast.comprehension, number: int) -> ast.AST:
    del node.ifs[number]
    return node


def _nothing(_: ast.AST) -> ast.AST:
    return ast.Pass()


def _not(test: ast.expr) -> ast.expr:
    return ast.UnaryOp(ast.Not(), test)


def _is_bare(test: ast.expr) -> bool:
    """Whether no other change turns this test round."""
    return not isinstance(test, ast.Compare | ast.BoolOp | ast.Constant | ast.UnaryOp)


def _places(tree: ast.Module) -> dict[int, str]:
    """Node → the function or class that it stands in."""
    found: dict[int, str] = {}

    def walk(node: ast.AST, place: str) -> None:
        found[id(node)] = place
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            place = f"{place}.{node.name}" if place else node.name
        for child in ast.iter_child_nodes(node):
            walk(child, place)

    walk(tree, "")
    return found


def _left_alone(tree: ast.Module) -> set[int]:
    found: set[int] = set()
    for node in ast.walk(tree):
        for part in _no_code(node):
            found.update(id(each) for each in ast.walk(part))
    return found


def _no_code(node: ast.AST) -> Iterator[ast.AST]:
    """The parts of it that no test could tell from others."""
    match node:
        case ast.Expr(value=ast.Constant()):
            yield node
        case ast.AnnAssign():
            yield node.annotation
        case ast.arg(annotation=ast.expr() as annotation):
            yield annotation
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            yield from (part for part in (node.returns, *node.decorator_list) if part is not None)
        case ast.ClassDef():
            yield from (keyword for keyword in node.keywords)
        case ast.Call(func=ast.Name(id="cast")):
            yield node.args[0]
        case ast.Subscript(value=ast.Name(id="Literal")):
            yield node
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            yield node
        case ast.Assert(msg=ast.expr() as message):
            yield message


def _line(node: ast.AST) -> int:
    """Where it begins; parts of a match and of a comprehension do not say so themselves."""
    return min(
        (each.lineno for each in ast.walk(node) if isinstance(each, ast.expr | ast.stmt | ast.pattern)), default=0
    )


def _code(node: ast.AST) -> str:
    """In one short line."""
    if isinstance(node, ast.match_case):
        return _short(ast.unparse(node).splitlines()[0])
    if isinstance(node, ast.If | ast.While):
        return _short(f"if {ast.unparse(node.test)}")
    return _short(ast.unparse(node))


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"
