"""Writes Python for a checked expression: statements that follow one another, and a value at the end.

Nothing of an expression's text becomes code. Names, texts and functions are bound as objects under
generated identifiers; what is written are templates of this package around them, and numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from isthmus.mapper.cel import inlining, loops
from isthmus.mapper.cel.builtins import BUILTINS, NAMESPACES, Builtin
from isthmus.mapper.cel.codes import AskedVariable, Code, Unsupported, Variable
from isthmus.mapper.cel.namespace import NAMESPACE
from isthmus.mapper.cel.tree import INDEX, Call, Const, Ident, Listing, Loop, Node, Select, Tree, walk
from isthmus.mapper.cel.tree import Mapping as MapNode
from isthmus.mapper.cel.values import TYPES, UInt
from isthmus.mapper.generation.lines import METER, Lines

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST_BLOCKS = 12
"""Python nests 20 loops and `try` at most, of which others may be around the expression."""


class Generator:
    """Writes one expression.

    Args:
        lines: Where the statements go.
        tree: The expression.
        variables: What its free names stand for.
        functions: Functions besides those of the language, by name.
    """

    def __init__(
        self,
        lines: Lines,
        tree: Tree,
        variables: Mapping[str, Variable],
        functions: Mapping[str, Builtin] | None = None,
    ) -> None:
        self.lines = lines
        self.tree = tree
        self.scope: dict[str, Variable] = dict(variables)
        self.functions = functions or {}
        self.special: Mapping[str, inlining.Special] = inlining.SPECIAL
        self.blocks = 0
        self.conditional = 0
        self.looping = 0
        self.copies = 0
        self.meter = ""
        lines.namespace.update(NAMESPACE)

    def write(self) -> Code:
        """Adds the statements and gives the code of the value.

        Raises:
            Unsupported: the library has to evaluate this.
        """
        if any(isinstance(node, Loop) for node in walk(self.tree.root)):
            self.meter = self.lines.name("c")
            self.lines.add(f"{self.meter} = {METER}")
        return self.code(self.tree.root)

    def code(self, node: Node) -> Code:
        """Adds the statements for a node and gives the code of its value."""
        if isinstance(node, Const):
            return self._const(node)
        if isinstance(node, Ident):
            return self._ident(node.name)
        if isinstance(node, Select):
            return self._select(node)
        if isinstance(node, Call):
            return self._call(node)
        return self._made(node)

    def _made(self, node: Node) -> Code:
        if isinstance(node, Listing):
            return self._listing(node)
        if isinstance(node, MapNode):
            return self._mapping(node)
        if isinstance(node, Loop):
            return loops.loop(self, node)
        raise Unsupported("Messages are not known here.")

    def name(self, code: Code) -> Code:
        """The code as something that may stand in several places."""
        if code.is_simple:
            return code
        name = self.lines.name("z")
        self.lines.add(f"{name} = {code.text}")
        return replace(code, text=name, is_simple=True)

    @contextmanager
    def apart(self) -> Iterator[list[str]]:
        """Gathers the lines of a part that is not evaluated for every record."""
        self.conditional += 1
        with self.lines.apart() as gathered:
            yield gathered
        self.conditional -= 1

    @contextmanager
    def block(self, head: str, *, counts: bool = False) -> Iterator[None]:
        """Adds a line and indents what follows; `counts` where Python limits how many there are."""
        self.blocks += counts
        if self.blocks > _MOST_BLOCKS:
            raise Unsupported("The expression is nested too deep.")
        with self.lines.block(head):
            yield
        self.blocks -= counts

    def _const(self, node: Const) -> Code:
        value = node.value
        if node.kind in {"null", "bool"}:
            return Code(str(value), node.kind, is_safe=True, is_simple=True)
        if node.kind == "int":
            return Code(f"({value:d})", "int", is_safe=True, is_simple=True, bound=max(abs(value), 1))
        if node.kind == "uint":
            value = UInt(value)
        bound = len(value) if isinstance(value, str) else 0
        return Code(self.lines.bind(value), node.kind, is_safe=True, is_simple=True, bound=bound)

    def _ident(self, name: str) -> Code:
        variable = self.scope.get(name.removeprefix("."))
        if variable is not None:
            code, _ = variable.read((), self.lines)
            return code
        kind = TYPES.get(name)
        if kind is None:
            return self._unknown("There is no such name.")
        return Code(self.lines.bind(kind, "t"), "type", is_safe=True, is_simple=True)

    def _unknown(self, message: str) -> Code:
        """What only the library knows; in what nobody checked, a name that nobody has."""
        if self.tree.types:
            raise Unsupported(message)
        return Code("failing()")

    def path(self, node: Node) -> tuple[str, tuple[str, ...]] | None:
        """The variable that a chain of members starts from, and the members."""
        names: list[str] = []
        while isinstance(node, Select) and not node.asks:
            names.append(node.member)
            node = node.operand
        if isinstance(node, Ident) and node.name in self.scope:
            return node.name, tuple(reversed(names))
        return None

    def _select(self, node: Select) -> Code:
        qualified = self.tree.names.get(node.id)
        if qualified not in {None, INDEX} and not node.asks:
            return self._ident(str(qualified))
        if node.asks:
            return self._asks(node)
        path = self.path(node)
        rest: tuple[str, ...] = (node.member,)
        if path is None:
            code = self.code(node.operand)
        else:
            code, rest = self.scope[path[0]].read(path[1], self.lines)
        for member in rest:
            code = self._member(code, member)
        return code

    def _member(self, code: Code, member: str) -> Code:
        bound = self.lines.bind(member)
        if code.kind == "map":
            return Code(f"{code.text}[{bound}]")
        held = self.name(code).text
        direct = f"{held}[{bound}] if {held}.__class__ is dictionary"
        return self.name(Code(f"{direct} else select({held}, {bound})"))

    def presence(self, operand: Node, member: str) -> Code | None:
        """The code that tells whether a variable has a member, where it can tell without reading others."""
        path = self.path(operand)
        variable = None if path is None else self.scope[path[0]]
        if path is None or not isinstance(variable, AskedVariable):
            return None
        return variable.asks((*path[1], member), self.lines)

    def _asks(self, node: Select) -> Code:
        code = self.presence(node.operand, node.member)
        if code is not None:
            return code
        held = self.name(self.code(node.operand)).text
        bound = self.lines.bind(node.member)
        return Code(
            f"({bound} in {held} if {held}.__class__ is dictionary else has({held}, {bound}))", "bool"
        )

    def _listing(self, node: Listing) -> Code:
        if not node.optional:
            texts = [self.code(element).text for element in node.elements]
            return Code(f"[{', '.join(texts)}]", "list")
        name = self.lines.name("z")
        self.lines.add(f"{name} = []")
        for place, element in enumerate(node.elements):
            code = self.code(element)
            if place in node.optional:
                self.lines.add(f"extend({name}, {code.text})")
            else:
                self.lines.add(f"{name}.append({code.text})")
        return Code(name, "list", is_simple=True)

    def _mapping(self, node: MapNode) -> Code:
        if not any(optional for _, _, optional in node.entries):
            texts = [f"{self.code(key).text}, {self.code(value).text}" for key, value, _ in node.entries]
            return Code(f"map_of({', '.join(texts)})", "map")
        name = self.lines.name("z")
        self.lines.add(f"{name} = map_of()")
        for key, value, optional in node.entries:
            put, held = self.code(key), self.name(self.code(value))
            if optional:
                with self.block(f"if {self._has_value(held)}:"):
                    self.lines.add(f"put({name}, {put.text}, {self._value(held)})")
            else:
                self.lines.add(f"put({name}, {put.text}, {held.text})")
        return Code(name, "map", is_simple=True)

    def _has_value(self, held: Code) -> str:
        return f"{self.lines.bind(BUILTINS['hasValue', 1].call, 'f')}({held.text})"

    def _value(self, held: Code) -> str:
        return f"{self.lines.bind(BUILTINS['value', 1].call, 'f')}({held.text})"

    def _call(self, node: Call) -> Code:
        special = self.special.get(node.function)
        operands = node.operands
        name = node.function
        if (
            isinstance(node.target, Ident)
            and node.target.name in NAMESPACES
            and node.target.name not in self.scope
        ):
            # Only parsed, so that nobody has said yet that this is one name.
            name, operands = f"{node.target.name}.{name}", node.arguments
        elif special is not None and len(operands) == special.operands:
            code = special.write(self, operands)
            if code is not None:
                return code
        builtin = self.functions.get(name) or BUILTINS.get((name, len(operands)))
        if builtin is None:
            return self._unknown(f"There is no function {name[:60]!r} with {len(operands)} operands.")
        codes = [self.code(each) for each in operands]
        return self.call(self.lines.bind(builtin.call, "f"), codes, builtin.kind, is_heavy=builtin.is_heavy)

    def call(self, function: str, codes: list[Code], kind: str, *, is_heavy: bool) -> Code:
        """The code of a call; one that is heavy is charged inside a loop by the size of what it works on."""
        texts = ", ".join(code.text for code in codes)
        if is_heavy and self.looping:
            return Code(f"heavy({self.meter}, {function}, {texts})", kind)
        return Code(f"{function}({texts})", kind)
