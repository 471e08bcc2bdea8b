"""Column lineage: which columns of its inputs each column of a silver table is made from, read from the parsed SELECT.

Values only: what a join or a condition looks at decides which rows there are, and is no part of a value.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from lsats_dagster.transforms.definition import Definition

if TYPE_CHECKING:
    from sqlglot import exp
    from sqlglot.optimizer.scope import Scope


@dataclass(frozen=True, order=True)
class Origin:
    """A column of an input, or a field of its payload. table: `schema.table`."""

    table: str
    column: str
    field: str = ""

    def __str__(self) -> str:
        return f"{self.table}: {self.field or self.column}"


@cache
def _lineage(select: str, inputs: tuple[tuple[str, tuple[str, ...]], ...]) -> dict[str, tuple[Origin, ...]]:
    import sqlglot
    from sqlglot.optimizer.qualify import qualify
    from sqlglot.optimizer.scope import build_scope

    schema: dict[str, Any] = {}
    for name, columns in inputs:
        schema.setdefault(name.split(".")[0], {})[name.split(".")[1]] = dict.fromkeys(columns, "text")
    tree: Any = qualify(
        sqlglot.parse_one(select, dialect="postgres"), dialect="postgres", schema=schema, validate_qualify_columns=False
    )
    root: Any = build_scope(tree)
    reader = _Reader({id(scope.expression): scope for scope in root.traverse()})
    return {name: tuple(sorted(reader.of_output(root, place))) for place, name in enumerate(tree.named_selects)}


def lineage(definition: Definition) -> Mapping[str, tuple[Origin, ...]]:
    """For each column that the SELECT gives, what it is made from, sorted; none for what no input gives.

    What a step gives is made from all that its query selects. `select *` is followed through silver tables, whose columns
    are known here; of a view of bronze a definition names what it takes.
    """
    steps = {step.name: step for step in definition.steps}
    inputs = tuple(definition.input_columns.items())
    found = _lineage(definition.statement, inputs)
    if not steps:
        return found
    of_steps = {
        name: {origin for origins in _lineage(step.nodes, inputs).values() for origin in origins}
        for name, step in steps.items()
    }
    return {
        column: tuple(sorted({o for origin in origins for o in of_steps.get(origin.table, {origin})}))
        for column, origins in found.items()
    }


class _Reader:
    """Follows columns through the scopes of one statement."""

    def __init__(self, scopes: Mapping[int, "Scope"]) -> None:
        self._scopes = scopes
        self._known: dict[tuple[int, int], set[Origin]] = {}

    def of_output(self, scope: "Scope", place: int) -> set[Origin]:
        """What the output column at `place` is made from."""
        query: Any = scope.expression
        key = (id(query), place)
        if key not in self._known:
            # Of a recursive query the part that refers to itself adds nothing to what its other part says.
            self._known[key] = set()
            if scope.set_operation_scopes:
                self._known[key] = {o for part in scope.set_operation_scopes for o in self.of_output(part, place)}
            else:
                self._known[key] = self._of_expression(scope, query.selects[place])
        return self._known[key]

    def _of_expression(self, scope: "Scope", expression: "exp.Expression") -> set[Origin]:
        from sqlglot import exp

        found: set[Origin] = set()
        waiting = [expression]
        while waiting:
            node = waiting.pop()
            if isinstance(node, exp.Column):
                found |= self._of_column(scope, node)
            elif isinstance(node, exp.JSONExtract | exp.JSONExtractScalar) and isinstance(node.this, exp.Column):
                path = node.expression.find(exp.JSONPathKey)
                found |= {_field_of(origin, path.name if path else "") for origin in self._of_column(scope, node.this)}
            elif isinstance(node, exp.Select | exp.SetOperation):
                inner = self._scopes.get(id(node))
                outputs = range(len(node.selects)) if inner else ()
                found |= {o for place in outputs for o in self.of_output(inner, place)} if inner else set()
            else:
                waiting += node.iter_expressions()
        return found

    def _of_column(self, scope: "Scope", column: "exp.Column") -> set[Origin]:
        from sqlglot import exp
        from sqlglot.optimizer.scope import Scope

        source = scope.sources.get(column.table)
        if source is None and scope.parent is not None:
            return self._of_column(scope.parent, column)
        if isinstance(source, exp.Table):
            name = f"{source.db}.{source.name}" if source.db else source.name
            return {Origin(name, column.name)}
        if not isinstance(source, Scope):
            return set()
        if isinstance(source.expression, exp.Query):
            names = source.expression.named_selects
            return self.of_output(source, names.index(column.name)) if column.name in names else set()
        # A function that gives rows: of a record the column is the field.
        arguments = self._of_expression(scope, source.expression.this)
        is_record = "to_record" in source.expression.this.sql(dialect="postgres").lower().partition("(")[0]
        return {_field_of(origin, column.name if is_record else "") for origin in arguments}


def _field_of(origin: Origin, name: str) -> Origin:
    """The field of a payload that is taken out of it as a whole; other columns stay."""
    return Origin(origin.table, origin.column, origin.field or (name if origin.column == "payload" else ""))
