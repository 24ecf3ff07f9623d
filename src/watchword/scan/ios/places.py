"""Tell where in an IPA things lie."""

import re
from collections.abc import Iterable
from typing import Final

_APP: Final = re.compile(r"Payload/[^/]+\.app/Info\.plist")
_HOLDERS: Final = (".app", ".framework", ".appex")
_NO_CODE: Final = frozenset({"PkgInfo", "CodeResources", "_CodeSignature"})


def app_folders(names: Iterable[str]) -> tuple[str, ...]:
    """Return the folders of the apps in ``Payload``, each with its final slash; there should be one."""
    return tuple(
        name.removesuffix("Info.plist") for name in names if _APP.fullmatch(name) is not None
    )


def may_be_image(name: str) -> bool:
    """Tell whether an entry can be an executable or a library of an app, by its name."""
    if not name.startswith("Payload/") or "/" not in name[8:]:
        return False
    folder, _, last = name.rpartition("/")
    holder = folder.rpartition("/")[2]
    if not last:
        return False  # A folder.
    if last.endswith(".dylib"):
        return True
    if not holder.endswith(_HOLDERS) or last in _NO_CODE:
        return False
    return "." not in last or last == holder.rpartition(".")[0]
