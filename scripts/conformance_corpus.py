"""Write the conformance corpus and its JSON Schema into the package.

The cases are worked out from few words here; what is shipped, read and run is the data.  Change a case
in ``scripts/conformance_cases`` and run this.
"""

import json
from pathlib import Path

from scripts.conformance_cases import (
    bodies,
    headers,
    others,
    paths,
    proofs,
    spellings,
    tokens,
    trailers,
)
from scripts.conformance_cases.words import ROUTES, Json

from watchword_conformance.corpus import Corpus

PACKAGE = Path(__file__).parents[1] / "packages" / "watchword-conformance"
FOLDER = PACKAGE / "src" / "watchword_conformance"


def corpus() -> Json:
    """Return the whole corpus as it is written."""
    groups = (tokens, proofs, bodies, headers, paths, others, spellings, trailers)
    return {
        "version": 1,
        "host": "api.conformance.example",
        "issuer": "https://watchword.conformance.example",
        "audience": "https://api.conformance.example",
        "app": "conformance-app",
        "leeway": 30,
        "rate": 40,
        "routes": ROUTES,
        "cases": [case for group in groups for case in group.cases()],
    }


def corpus_text() -> str:
    """Return the corpus with one line for each case, so that a change shows as one."""
    whole = corpus()
    Corpus.model_validate_json(json.dumps(whole))
    cases, routes = whole.pop("cases"), whole.pop("routes")
    head = json.dumps(whole, indent=1)[:-2]
    rows = ",\n".join(f"  {json.dumps(row)}" for row in routes)
    lines = ",\n".join(f"  {json.dumps(case)}" for case in cases)
    return f'{head},\n "routes": [\n{rows}\n ],\n "cases": [\n{lines}\n ]\n}}\n'


def schema_text() -> str:
    """Return the JSON Schema of the corpus."""
    schema = Corpus.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "The conformance corpus of Watchword's gate"
    return json.dumps(schema, indent=1) + "\n"


if __name__ == "__main__":
    (FOLDER / "corpus.json").write_text(corpus_text(), encoding="utf-8")
    (FOLDER / "corpus.schema.json").write_text(schema_text(), encoding="utf-8")
    print(f"wrote {len(corpus()['cases'])} cases into {FOLDER}")
