"""Write docs/reasons.md from the reasons and the texts that the package ships.

A text is changed in src/watchword/apps/reasons.toml, where ``watchword explain`` finds it too.
"""

from pathlib import Path

from watchword.apps.problems import sections
from watchword.reasons import Reason

TARGET = Path(__file__).parents[2] / "docs" / "reasons.md"
INTRODUCTION = """\
# Reasons

Every refusal carries a reason: a dotted code that is never reused. Logs, metrics, `watchword explain REF` and the tests name it. In production a client learns
only the public class (with its HTTP status in brackets), so probing reveals little to an attacker. In the `lab` environment the reasons are in plain text.

Each entry says what the reason means and what to do. `watchword explain REF` prints it for a refusal, and `watchword explain gate.rate` for a reason.
"""


def page() -> str:
    """Return the whole page."""
    lines = [INTRODUCTION]
    for title, texts in sections().items():
        lines.append(f"## {title}\n")
        for code, text in texts.items():
            reason = Reason.from_code(code)
            public = f"public class `{reason.public.slug}` ({reason.public.status})"
            lines.append(
                f"### `{code}`\n\n{text}\n\nCategory *{reason.category.value}*, {public}.\n"
            )
    return "\n".join(lines)
