"""Write a page of all settings of watchword.yaml from its JSON Schema, which ``watchword schema`` prints."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, TypeAlias

from scripts.site_markdown import cell, prose

from watchword.apps.settings.load import file_schema

_Schema: TypeAlias = Mapping[str, Any]

INTRODUCTION: Final = """\
# Settings

Every key of `watchword.yaml`; any other key is refused. Words in capitals stand for names that you choose: small letters, digits and hyphens.

- `watchword init` writes a commented file.
- `watchword check` names every fault in yours with its line.
- `watchword schema` prints the JSON Schema that this page is made from, for your editor.

Some sizes, times and texts have further bounds, which `watchword check` explains if a value is outside of them. Write durations as
`30s`, `5m`, `24h` or `7d`. Paths of files are relative to `watchword.yaml`.

"""
_EXPLAINED: Final = {
    "policy": "[policy](../policy.md)",
    "plan": "[the plan's section](../plan-file.md)",
    "pins": "[pins](../pins.md)",
    "secrets": "[secrets](../secrets.md)",
    "drill": "[the drill](../drill.md)",
    "records": "[records](../verifying.md#records-of-a-service)",
    "gates": "[the gate bundle](../bundle.md)",
    "trust": "[what is asked of vendors](../operating.md#what-is-asked-of-vendors)",
    "apis": "[the gate](../gate.md)",
    "apps": "[going live](../operating.md#go-live)",
    "service": "[the service](../service.md)",
}
"""By key of the file: the page that explains it."""


def page() -> str:
    """Return the page, made by ``python -m scripts.site_reference``."""
    schema = file_schema()
    lines = ["## The file", "", *_table(schema, schema)]
    for key, each in schema["properties"].items():
        lines += _part(key, each, schema)
    return INTRODUCTION + "\n".join(lines).rstrip("\n") + "\n"


def _part(key: str, schema: _Schema, root: _Schema) -> Iterator[str]:
    sections = list(_sections(key, schema, root))
    if not sections:
        return
    yield f"## {key}"
    yield ""
    if key in _EXPLAINED:
        yield f"More in {_EXPLAINED[key]}."
        yield ""
    for where, each in sections:
        if where != key:
            yield f"### {where}"
            yield ""
        if each.get("description"):
            yield prose(each["description"].split("\n")[0])
            yield ""
        yield from _table(each, root)


def _sections(where: str, schema: _Schema, root: _Schema) -> Iterator[tuple[str, _Schema]]:
    """Yield each mapping that stands in the file, with the place where it stands."""
    for suffix, each in _objects(schema, root):
        place = where + suffix
        yield place, each
        for key, member in each["properties"].items():
            yield from _sections(f"{place}.{key}", member, root)


def _objects(schema: _Schema, root: _Schema) -> Iterator[tuple[str, _Schema]]:
    """Yield the mappings that a value may be, with what is added to its place: a name, or a mark that it is a list."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[-1]
        # A policy's rules nest; its page has them.
        if not name.startswith("Policy"):
            yield from _objects(root["$defs"][name], root)
    for choice in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
        yield from _objects(choice, root)
    if schema.get("properties"):
        platform = schema["properties"].get("platform", {}).get("const")
        yield (f" ({platform})" if platform else ""), schema
    if schema.get("type") == "array":
        yield from (("[]" + suffix, each) for suffix, each in _objects(schema["items"], root))
    for value in _by_name(schema):
        yield from ((".NAME" + suffix, each) for suffix, each in _objects(value, root))


def _by_name(schema: _Schema) -> list[_Schema]:
    """Return what stands under names that the file's writer chooses."""
    further = schema.get("additionalProperties")
    found = [*schema.get("patternProperties", {}).values()]
    return [*found, further] if isinstance(further, dict) else found


def _table(schema: _Schema, root: _Schema) -> Iterator[str]:
    yield "| key | value | if left out | meaning |"
    yield "| --- | --- | --- | --- |"
    for key, each in schema["properties"].items():
        value = cell(_either(_values(each, root)) or "any")
        meaning = cell(prose(each.get("description", ""))) or "-"
        yield f"| `{key}` | {value} | {cell(_left_out(key, each, schema))} | {meaning} |"
    yield ""


def _left_out(key: str, each: _Schema, schema: _Schema) -> str:
    if key in schema.get("required", ()):
        return "*required*"
    default = each.get("default")
    if default in (None, "", [], {}) and not isinstance(default, bool | int):
        return "-"
    if isinstance(default, dict):
        return "its own defaults"
    if isinstance(default, list):
        return ", ".join(f"`{one}`" for one in default)
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def _values(schema: _Schema, root: _Schema) -> Iterator[str]:
    """Yield what a value may be, in words."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[-1]
        yield from (
            ("rules" if name == "PolicyRule" else "rules, or `off`",)
            if name.startswith("Policy")
            else _values(root["$defs"][name], root)
        )
    for choice in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
        yield from _values(choice, root)
    if "const" in schema:
        yield f"`{schema['const']}`"
    elif "enum" in schema:
        yield from (f"`{each}`" for each in schema["enum"])
    elif "type" in schema and schema["type"] != "null":
        yield _kind(schema, root)


def _either(choices: Iterable[str]) -> str:
    """Return the choices in words, each once."""
    *before, last = dict.fromkeys(choices) or [""]
    return f"{', '.join(before)} or {last}" if before else last


def _kind(schema: _Schema, root: _Schema) -> str:
    kind = schema["type"]
    if kind == "array":
        return f"list of {_either(_values(schema['items'], root)) or 'texts'}"
    if kind == "object":
        named = _by_name(schema)
        return (
            f"by name: {_either(word for each in named for word in _values(each, root))}"
            if named
            else "keys"
        )
    if kind == "boolean":
        return "`true` or `false`"
    if kind == "string":
        return "text"
    least = schema.get("minimum", schema.get("exclusiveMinimum"))
    most = schema.get("maximum")
    bounds = [
        word
        for word, bound in ((f"from {least}", least), (f"to {most}", most))
        if bound is not None
    ]
    return " ".join(("whole number" if kind == "integer" else "number", *bounds))
