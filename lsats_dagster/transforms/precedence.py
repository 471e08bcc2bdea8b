"""Which source may give each value of a merged table, in order: read from the SELECT itself, where it is said once."""

from lsats_dagster.transforms.definition import Definition


def candidates(definition: Definition) -> dict[str, list[tuple[str, str]]]:
    """For each output column, the (source, expression) pairs that may give its value, in order of precedence.

    Read from the SELECT itself: `coalesce(u.name, t.name)` means u before t. Columns made otherwise have no entry. This is
    the one place where precedence is known, so value, field_sources and explanation cannot disagree.
    """
    from sqlglot import exp

    found: dict[str, list[tuple[str, str]]] = {}
    for output in definition.tree.selects:
        expression = output.unalias()
        alternatives = (
            [expression.this, *expression.expressions] if isinstance(expression, exp.Coalesce) else [expression]
        )
        pairs = [
            (definition.sources[part.table], part.sql(dialect="postgres"))
            for part in alternatives
            if isinstance(part, exp.Column) and part.table in definition.sources
        ]
        if pairs:
            found[output.alias_or_name] = pairs
    return found


def contested(definition: Definition) -> dict[str, list[tuple[str, str]]]:
    """Those of `candidates` that more than one expression may give: what field_sources holds."""
    business = {column.name for column in definition.business_columns} - set(definition.key)
    return {name: pairs for name, pairs in candidates(definition).items() if name in business and len(pairs) > 1}


def field_sources(definition: Definition) -> str:
    """The SQL expression that names, for each field that several sources may give, the source that gave its value.

    Put together as text: to ask for the type of each of many arguments, as jsonb_build_object does, costs twice as much.
    """
    entries = []
    for name, pairs in contested(definition).items():
        cases = " ".join(f'when {expression} is not null then \'"{name}": "{source}"\'' for source, expression in pairs)
        entries.append(f"case {cases} end")
    # A function takes at most 100 arguments.
    parts = [f"nullif(concat_ws(', ', {', '.join(entries[i : i + 50])}), '')" for i in range(0, len(entries), 50)]
    return f"('{{' || concat_ws(', ', {', '.join(parts)}) || '}}')::jsonb" if parts else "'{}'::jsonb"


def computed_from(definition: Definition) -> dict[str, list[str]]:
    """For each column that no single source gives as it stands, the sources whose columns its expression reads, sorted.

    The header's own entry stands in place of what the expression shows.
    """
    from sqlglot import exp

    given = candidates(definition)
    found: dict[str, list[str]] = {}
    for output in definition.tree.selects:
        name = output.alias_or_name
        aliases = definition.computed_from.get(name) or {column.table for column in output.find_all(exp.Column)}
        sources = sorted({definition.sources[alias] for alias in aliases if alias in definition.sources})
        if sources and name not in given:
            found[name] = sources
    return found
