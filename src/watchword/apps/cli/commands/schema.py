"""Print the JSON Schema of ``watchword.yaml``."""

import click

from watchword.apps.terminal.console import print_json


@click.command(epilog="Example: watchword schema > watchword.schema.json")
@click.option("--json", "as_json", is_flag=True, help="Print it on one line.")
def command(*, as_json: bool) -> None:
    """Print the JSON Schema of watchword.yaml, for editors.

    The first lines of the file that `watchword init` writes name watchword.schema.json;
    editors with YAML support then complete keys and mark faults as you type.
    """
    import json

    from watchword.apps.settings.load import file_schema

    schema = file_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "watchword.yaml"
    if as_json:
        print_json(schema)
    else:
        click.echo(json.dumps(schema, indent=2))
