"""Write comments of XML: what may not stand in one is taken apart."""

import plistlib
from collections.abc import Iterable, Mapping
from typing import Any


def comment(lines: Iterable[str], indent: str = "") -> str:
    """Return a comment; two hyphens in a row, as in every A-label, would end it too early."""
    safe = [line.replace("--", "- -").replace("--", "- -") for line in lines]
    if len(safe) == 1:
        return f"{indent}<!-- {safe[0]} -->\n"
    body = "".join(f"{indent}  {line}\n" for line in safe)
    return f"{indent}<!--\n{body}{indent}-->\n"


def property_list(value: Mapping[str, Any], comments: Iterable[str]) -> str:
    """Return a property list in XML with comments before its content."""
    text = plistlib.dumps(dict(value), sort_keys=False).decode("utf-8")
    head, mark, rest = text.partition('<plist version="1.0">\n')
    return head + mark + comment(comments) + rest
