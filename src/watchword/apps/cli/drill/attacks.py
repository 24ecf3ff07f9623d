"""List the attacks, or show one of them."""

from typing import TYPE_CHECKING, Any

import click

from watchword.apps.terminal.console import print_json

if TYPE_CHECKING:
    from watchword.drill.interface import Attack


@click.command(epilog="Example: watchword drill attacks token-expired")
@click.argument("attack", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print them as JSON.")
def command(*, attack: str | None, as_json: bool) -> None:
    """List the attacks of the drill, or show one: what is sent, what must happen, what it can't tell.

    ATTACK is an attack's id.  The id of a technique or of a protection lists the attacks of it, or on it.
    """
    from watchword.apps.drill.course import attacks_of

    chosen = attacks_of([attack] if attack else [], [])
    if as_json:
        print_json([_members(each) for each in chosen])
    elif attack is not None and len(chosen) == 1:
        _show(chosen[0])
    else:
        width = max(len(each.id) for each in chosen)
        for each in chosen:
            click.echo(f"{each.id:<{width}}  {each.title}")


def _members(attack: "Attack") -> dict[str, Any]:
    return {
        "id": attack.id,
        "title": attack.title,
        "techniques": list(attack.techniques),
        "protections": dict(attack.protections),
        "needs": [need.value for need in attack.needs],
        "sends": attack.sends,
        "must": attack.must,
        "blind": attack.blind,
        "exploits": attack.exploits,
        "variants": [
            {"name": each.name, "expected": sorted(reason.code for reason in each.expected)}
            for each in attack.variants
        ],
    }


def _show(attack: "Attack") -> None:
    from watchword.drill.needs import NEEDED

    click.echo(f"{attack.id}: {attack.title}")
    rows = [
        ("technique", ", ".join(attack.techniques)),
        ("tests", ", ".join(f"{name} ({key})" for name, key in attack.protections.items())),
        ("needs", "; ".join(NEEDED[need] for need in attack.needs) or "nothing"),
        ("sent", attack.sends),
        ("must", attack.must),
        ("can't tell", attack.blind),
    ]
    for name, text in rows:
        for line in click.wrap_text(text, 76).splitlines():
            click.echo(f"  {name:<11} {line}")
            name = ""  # noqa: PLW2901 - named once.
    click.echo("  variants")
    for variant in attack.variants:
        expected = " or ".join(sorted(reason.code for reason in variant.expected)) or "any refusal"
        click.echo(f"    {variant.name:<32} {expected}")
