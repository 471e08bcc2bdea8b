"""Column lineage: which columns of its inputs each column of a silver table is made from, read from the parsed SELECT.

Values only: what a join or a condition looks at decides which rows there are, and is no part of a value. EXISTS has no other
value than its condition. What cannot be followed is an error, because a lineage with gaps tells nobody of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lsats_dagster.transforms.definition import Definition, DefinitionError
from lsats_dagster.transforms.precedence import field_sources

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


Columns = Mapping[str, tuple[str, ...]]
# An expression, the scope that it stands in, and the field that is taken out of its value.
Place = tuple["Scope", "exp.Expression", str]


class _LostError(Exception):
    """A column cannot be followed."""


def _followed(query: "exp.Expr", inputs: Columns) -> dict[str, tuple[Origin, ...]]:
    """The origins of each column of a query, whose tree is changed by it."""
    from sqlglot.optimizer.qualify import qualify
    from sqlglot.optimizer.scope import build_scope

    schema: dict[str, Any] = {}
    for name, columns in inputs.items():
        schema.setdefault(name.split(".")[0], {})[name.split(".")[1]] = dict.fromkeys(columns, "text")
    tree: Any = qualify(
        query, dialect="postgres", schema=schema, quote_identifiers=False, validate_qualify_columns=False
    )
    root: Any = build_scope(tree)
    reader = _Reader(root, inputs)
    return {name: tuple(sorted(reader.origins(place))) for place, name in enumerate(tree.named_selects)}


def _with_field_sources(definition: Definition) -> "exp.Expr":
    """A copy of the parsed SELECT with its field_sources filled in."""
    import sqlglot
    from sqlglot import exp

    tree = definition.tree.copy()
    for place in list(tree.find_all(exp.Placeholder)):
        if place.name == "field_sources":
            place.replace(sqlglot.parse_one(field_sources(definition), dialect="postgres"))
    return tree


def lineage(definition: Definition) -> Mapping[str, tuple[Origin, ...]]:
    """For each column that the SELECT gives, what it is made from, sorted; none for what no input gives.

    What a step gives is made from all that its query selects. `select *` is followed through silver tables, whose columns
    are known here; of a view of bronze a definition names what it takes. DefinitionError says what cannot be followed.
    """
    import sqlglot
    from sqlglot.errors import SqlglotError

    inputs = definition.input_columns
    try:
        found = _followed(_with_field_sources(definition), inputs)
        of_steps = {
            step.name: {
                origin
                for origins in _followed(sqlglot.parse_one(step.nodes, dialect="postgres"), inputs).values()
                for origin in origins
            }
            for step in definition.steps
        }
    except (SqlglotError, _LostError) as error:
        reason = str(error).splitlines()[0]
        raise DefinitionError(
            f"{definition.path.name}: the origin of a column cannot be found: {reason}; "
            "name the columns that it takes, each with the alias of its table"
        ) from None
    return {
        column: tuple(sorted({o for origin in origins for o in of_steps.get(origin.table, {origin})}))
        for column, origins in found.items()
    }


class _Reader:
    """Follows columns through the scopes of one statement."""

    def __init__(self, root: "Scope", known: Columns) -> None:
        scopes: list[Any] = list(root.traverse())
        self._root = root
        self._known = known
        self._names: dict[int, list[str]] = {}
        self._scopes = {id(scope.expression): scope for scope in scopes}
        # What refers to its own recursive query is given a blank copy of its first part by sqlglot, and means all of it.
        self._recursive = {id(s.expression.this): s for s in scopes if s.is_cte and s.set_operation_scopes}

    def origins(self, place: int) -> set[Origin]:
        """What the output column at `place` is made from."""
        found: set[Origin] = set()
        waiting = self._output(self._root, place, "")
        met: set[tuple[int, str]] = set()
        while waiting:
            scope, node, field = waiting.pop()
            if (id(node), field) in met:
                continue
            met.add((id(node), field))
            for part in self._parts(scope, node, field):
                if isinstance(part, Origin):
                    found.add(part)
                else:
                    waiting.append(part)
        return found

    def _output(self, scope: Any, place: int, field: str) -> list[Place]:
        if scope.set_operation_scopes:
            return [found for part in scope.set_operation_scopes for found in self._output(part, place, field)]
        outputs = scope.expression.selects
        if any(output.is_star for output in outputs):
            raise _LostError("column * of a table whose columns are not known here")
        return [(scope, outputs[place], field)]

    def _parts(self, scope: Any, node: Any, field: str) -> list[Any]:
        """What an expression is made from, one step down."""
        from sqlglot import exp

        if isinstance(node, exp.Column | exp.TableColumn):
            return self._of_column(scope, node, field)
        if isinstance(node, exp.Exists):
            asked = [(self._scopes[id(query)], query.args.get("where")) for query in node.this.find_all(exp.Select)]
            return [(inner, where, "") for inner, where in asked if where]
        if isinstance(node, exp.Select | exp.SetOperation):
            inner = self._scopes[id(node)]
            return [found for place in range(len(node.selects)) for found in self._output(inner, place, field)]
        if (key := _key(node)) is not None:
            return [(scope, child, key if child is node.this else "") for child in node.iter_expressions()]
        children = list(node.iter_expressions())
        if isinstance(node, exp.Window) and (name := node.args.get("alias")):
            children += [window for window in scope.expression.args.get("windows") or () if window.name == name.name]
        return [(scope, child, field) for child in children]

    def _of_column(self, scope: Any, column: Any, field: str) -> list[Any]:
        from sqlglot import exp

        alias = column.table or column.name if isinstance(column, exp.Column) else column.name
        if isinstance(column, exp.TableColumn) or isinstance(column.this, exp.Star):
            name = None
        elif column.table:
            name = column.name
        else:
            # What sqlglot leaves without table is a row as a whole, or stands in the one table whose columns are not known.
            unknown = [found for found, source in scope.sources.items() if self._is_unknown(source)]
            name = None if alias in scope.sources else alias
            alias = unknown[0] if name and len(unknown) == 1 else alias
        while scope is not None and alias not in scope.sources:
            scope = scope.parent
        if scope is None:
            raise _LostError(f"column {column.sql(dialect='postgres')}")
        return self._of_source(scope, scope.sources[alias], name, field)

    def _is_unknown(self, source: Any) -> bool:
        from sqlglot import exp

        return (
            isinstance(source, exp.Table)
            and not isinstance(source.this, exp.Func)
            and _named(source) not in self._known
        )

    def _of_source(self, scope: Any, source: Any, column: str | None, field: str) -> list[Any]:
        """What a column of what stands in FROM is made from; without a column, its rows as a whole."""
        from sqlglot import exp

        if isinstance(source, exp.Table) and not isinstance(source.this, exp.Func):
            return self._of_table(source, column, field)
        expression = source if isinstance(source, exp.Table) else source.expression
        names = expression.alias_column_names
        if isinstance(expression, exp.Lateral) and isinstance(expression.this, exp.Subquery):
            expression = expression.this.this
            source = self._scopes.get(id(expression))
        if isinstance(expression, exp.Query):
            return self._of_query(source, column, field)
        if isinstance(expression, exp.Values):
            place = names.index(column) if column and column in names else None
            given = [row.expressions if place is None else [row.expressions[place]] for row in expression.expressions]
            return [(scope, value, field) for values in given for value in values]
        # A function that gives rows: of a record the column is the field.
        function = expression.this
        if isinstance(function, exp.Anonymous) and "to_record" in function.name.lower():
            return [(scope, argument, column or "") for argument in function.expressions]
        return [(scope, part, "") for part in expression.iter_expressions()]

    def _of_table(self, table: "exp.Table", column: str | None, field: str) -> list[Origin]:
        name = _named(table)
        columns = self._known.get(name, (column,) if column else ())
        if not columns or (column and column not in columns):
            raise _LostError(f"column {column or '*'} of {name}")
        return [Origin(name, c, field if c == "payload" else "") for c in ([column] if column else columns) if c]

    def _of_query(self, source: Any, column: str | None, field: str) -> list[Place]:
        source = self._recursive.get(id(source.expression), source)
        query = source.expression
        if id(query) not in self._names:
            self._names[id(query)] = query.named_selects
        names = self._names[id(query)]
        if column is not None and column not in names:
            raise _LostError(f"column {column} of a query that does not name it")
        places = range(len(names)) if column is None else [names.index(column)]
        return [found for place in places for found in self._output(source, place, field)]


def _named(table: "exp.Table") -> str:
    return f"{table.db}.{table.name}" if table.db else table.name


def _key(node: Any) -> str | None:
    """The field that an expression takes out of a JSON value first; empty where a value names it, None where none is taken."""
    from sqlglot import exp

    if isinstance(node, exp.JSONExtract | exp.JSONExtractScalar) and isinstance(node.expression, exp.JSONPath):
        key = node.expression.find(exp.JSONPathKey)
        return key.name if key else None
    if isinstance(node, exp.Bracket):
        return node.expressions[0].name if node.expressions[0].is_string else None
    if isinstance(node, exp.JSONExtract | exp.JSONExtractScalar | exp.JSONBExtract | exp.JSONBExtractScalar):
        return node.expression.name.strip("{}").partition(",")[0] if node.expression.is_string else ""
    return None
