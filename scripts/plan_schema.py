"""Write docs/plan.schema.json from the model that writes and reads a plan's document.

``python -m scripts.plan_schema``.  A test keeps both the same.
"""

import json
from pathlib import Path

from watchword.apps.plan.document import schema

TARGET = Path(__file__).parents[1] / "docs" / "plan.schema.json"


def text() -> str:
    """Return the schema as it stands in the file."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    TARGET.write_text(text(), encoding="utf-8")
