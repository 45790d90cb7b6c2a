"""`acls`: the ACLs to grant on a broker that uses them."""

import json

import click

from stream_detector.cli.options import settings_flags
from stream_detector.kafka.acls import ROLES, acl_commands, required_acls
from stream_detector.settings import Settings


@click.command()
@settings_flags
@click.option("--role", "roles", type=click.Choice(ROLES), multiple=True, help="Only this role; can be repeated")
@click.option(
    "--principal",
    "principals",
    metavar="ROLE=PRINCIPAL",
    multiple=True,
    help="Principal of a role; default: User:ROLE",
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array: role, principal, kind, name, operation")
def command(settings: Settings, roles: tuple[str, ...], principals: tuple[str, ...], as_json: bool) -> None:
    """Print the minimum ACLs of each role as kafka-acls.sh commands.

    Works without connecting to the broker.

    \b
    Example: stream-detector acls --broker kafka:9093 --role detector --principal detector=User:sd
    """
    whom = {role: f"User:{role}" for role in ROLES} | dict(map(_pair, principals))
    granted = {role: required_acls(role, settings) for role in roles or ROLES}
    if as_json:
        rows = [(role, right) for role, rights in granted.items() for right in rights]
        click.echo(json.dumps([{"role": role, "principal": whom[role]} | right._asdict() for role, right in rows]))
        return
    for role, rights in granted.items():
        click.echo(f"# {role}")
        for call in acl_commands(rights, whom[role], settings.broker or "HOST:PORT"):
            click.echo(call)


def _pair(text: str) -> tuple[str, str]:
    role, _, principal = text.partition("=")
    if role not in ROLES or ":" not in principal:
        raise click.BadParameter(f"{text!r}: must be ROLE=PRINCIPAL, for example detector=User:sd")
    return role, principal
