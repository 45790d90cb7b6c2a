"""`grants`: the privileges to grant in PostgreSQL when each role has its own database user."""

import click

from stream_detector.store.grants import ROLES, statements


@click.command()
@click.option("--role", "roles", type=click.Choice(ROLES), multiple=True, help="Only this role; can be repeated")
@click.option(
    "--user",
    "users",
    metavar="ROLE=USER",
    multiple=True,
    help="Database user; default: the role's name",
)
def command(roles: tuple[str, ...], users: tuple[str, ...]) -> None:
    """Print the minimum privileges of each role in PostgreSQL, as SQL for the owner of the tables.

    Works without connecting to a database.

    \b
    Example: stream-detector grants --role recorder --user recorder=sd_writer | psql "$MIGRATOR_URL"
    """
    whom = {role: role for role in ROLES} | dict(map(_pair, users))
    for role in roles or ROLES:
        click.echo(f"-- {role}")
        for statement in statements(role, whom[role]):
            click.echo(statement)


def _pair(text: str) -> tuple[str, str]:
    role, _, user = text.partition("=")
    if role not in ROLES or not user:
        raise click.BadParameter(f"{text!r}: must be ROLE=USER, for example api=sd_reader")
    return role, user
