"""Runs a module of the firmware as on a chip whose floats have 24 bits: every intermediate is rounded.

The source is rewritten so that each arithmetic operation, each `sum` and each constant passes through
float32; a division of ints converts both to float32 first, as MicroPython on the chip does.
"""

import ast
import builtins
import operator
import struct
import types

OPERATIONS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.Mod: operator.mod,
    ast.FloorDiv: operator.floordiv,
    ast.RShift: operator.rshift,
    ast.LShift: operator.lshift,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
}
NAMES = {type_.__name__: operation for type_, operation in OPERATIONS.items()}


def rounded(value):
    """The nearest float32 of a float; anything else as it is."""
    return struct.unpack("<f", struct.pack("<f", value))[0] if isinstance(value, float) else value


def operate(name, left, right):
    if isinstance(left, (str, bytes)):
        return NAMES[name](left, right)
    if name == "Div" or isinstance(left, float) or isinstance(right, float):
        left, right = rounded(float(left)), rounded(float(right))
    return rounded(NAMES[name](left, right))


def total(values, start=0):
    for value in values:
        start = operate("Add", start, value)
    return start


class _Rewriter(ast.NodeTransformer):
    def visit_BinOp(self, node):
        self.generic_visit(node)
        return _call("_operate", ast.Constant(type(node.op).__name__), node.left, node.right)

    def visit_AugAssign(self, node):
        self.generic_visit(node)
        source = ast.parse(ast.unparse(node.target), mode="eval").body
        value = _call("_operate", ast.Constant(type(node.op).__name__), source, node.value)
        return ast.Assign([node.target], value)

    def visit_Constant(self, node):
        return ast.Constant(rounded(node.value))


def _call(name, *arguments):
    return ast.Call(ast.Name(name, ast.Load()), list(arguments), [])


def load(path):
    """The module at `path`, rounding."""
    tree = ast.fix_missing_locations(_Rewriter().visit(ast.parse(path.read_text())))
    module = types.ModuleType(path.stem)
    module.__dict__.update(_operate=operate, sum=total, round=lambda *given: rounded(builtins.round(*given)))
    exec(compile(tree, str(path), "exec"), module.__dict__)
    return module
