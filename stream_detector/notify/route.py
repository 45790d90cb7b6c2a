"""Which channels an item may go to, and how: the routes in order, the channel's switch and the severity threshold."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from stream_detector.events import SeverityName
from stream_detector.notify.config import INBOX, RANK, NotifyConfig, Route
from stream_detector.notify.verdict import Verdict, passes, stops


def routes_of(facts: Mapping[str, str], config: NotifyConfig) -> tuple[Route, ...]:
    """The routes that take it, in their order; what the file's routes do not take goes by that of the settings."""
    found = []
    for one in config.routes:
        if matches(one, facts):
            found.append(one)
            if not one.goes_on:
                return tuple(found)
    return (*found, config.fallback)


def route_of(channel: str, taking: Sequence[Route], config: NotifyConfig, told_by: str | None = None) -> Route | None:
    """The route by which this channel gets it: the first of those `taking` it that names the channel, or None.

    The inbox always goes by the settings alone. What was told by a route (`told_by`) ends by it, while it is there.
    """
    if channel == INBOX:
        return config.fallback
    if told_by is not None:
        return next((one for one in config.routes if one.name == told_by), config.fallback)
    for one in taking:
        if one.channels is None or channel in one.channels:
            return one
    return None


def route_of_bucket(bucket: str, config: NotifyConfig) -> Route:
    """The route that a bucket was counted by, or that of the settings where it is gone."""
    name = bucket.partition("/")[2]
    return next((one for one in config.routes if one.name == name), config.fallback)


def route(channel: str, severity: SeverityName, taken: Route | None, config: NotifyConfig) -> Verdict:
    """W29 and W30: below the threshold, or on a channel that is switched off, it is stored and shown, not sent."""
    if not config.channels.get(channel, False):
        return stops("suppressed", f"{channel} is switched off")
    if taken is None:
        return stops("suppressed", f"no route that takes it leads to {channel}")
    where = f" of route {taken.name}" if taken.name else ""
    if RANK[severity] < RANK[taken.threshold]:
        return stops("suppressed", f"{severity} is below the threshold {taken.threshold}{where}")
    return passes(f"{severity} reaches the threshold {taken.threshold}{where}")


def matches(one: Route, facts: Mapping[str, str]) -> bool:
    """Whether every fact that the route names is there and like one of its patterns."""
    return all(
        name in facts and any(fnmatchcase(facts[name], pattern) for pattern in patterns)
        for name, patterns in one.match.items()
    )
