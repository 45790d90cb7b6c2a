"""`grants`: what to grant in PostgreSQL where each role has a user of its own."""

import click

from stream_detector.store.grants import ROLES, statements


@click.command()
@click.option("--role", "roles", type=click.Choice(ROLES), multiple=True, help="Only this one; may be given again")
@click.option("--user", "users", metavar="ROLE=USER", multiple=True, help="The role's database user; without it ROLE")
def command(roles: tuple[str, ...], users: tuple[str, ...]) -> None:
    """Print the least that each role needs in PostgreSQL, as SQL for the owner of the tables. Asks no database.

    \b
    Example: stream-detector grants --role recorder --user recorder=watch_writer | psql "$MIGRATOR_URL"
    """
    whom = {role: role for role in ROLES} | dict(map(_pair, users))
    for role in roles or ROLES:
        click.echo(f"-- {role}")
        for statement in statements(role, whom[role]):
            click.echo(statement)


def _pair(text: str) -> tuple[str, str]:
    role, _, user = text.partition("=")
    if role not in ROLES or not user:
        raise click.BadParameter(f"{text!r}: must be ROLE=USER, for example api=watch_reader")
    return role, user
