"""Settings made into a policy and channels. Only this and the channels' own `connect` know `Settings`."""

from dataclasses import replace
from pathlib import Path

from stream_detector.notify.channels.channel import Channel
from stream_detector.notify.channels.registry import CHANNELS, ChannelSpec
from stream_detector.notify.config import NotifyConfig, Route
from stream_detector.notify.routes import RoutesError, read_routes
from stream_detector.settings import PREFIX, Settings, SettingsError


def notify_config(settings: Settings) -> NotifyConfig:
    """The policy in force. A channel without an address is not in it; one that is switched off is, as off.

    Raises:
        SettingsError: the routes file cannot be read or used. The start stops there.
    """
    config = NotifyConfig(
        channels={name: _is_switched_on(spec, settings) for name, spec in CHANNELS.items() if _is_set(spec, settings)},
        severity=settings.notify_severity,
        rate_limit_count=settings.rate_limit_count,
        rate_limit_window_s=settings.rate_limit_window_s,
        group_by=tuple(settings.group_by.split(",")) if settings.group_by != "none" else (),
        group_wait_s=settings.group_wait_s,
        group_interval_s=settings.group_interval_s,
        max_age_s=settings.notify_max_age_s,
        quiet_after_s=_quiet_after_s(settings.quiet_after),
        product_name=settings.product_name,
        entity_word=settings.entity_word,
        base_url=settings.base_url.rstrip("/"),
        link_key=settings.secret_key.encode(),
    )
    return replace(config, routes=read_routes_file(settings, config.fallback))


def read_routes_file(settings: Settings, defaults: Route) -> tuple[Route, ...]:
    """The routes of the file, none where no file is set. Raises `SettingsError`.

    Args:
        defaults: the route of the settings, which stands in for what the file leaves out.
    """
    if not settings.routes_file:
        return ()
    try:
        return read_routes(Path(settings.routes_file).read_text("utf-8"), defaults)
    except (OSError, UnicodeDecodeError) as error:
        words = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise SettingsError(PREFIX + "ROUTES_FILE", repr(settings.routes_file), f"cannot be read: {words}") from None
    except RoutesError as error:
        raise SettingsError(PREFIX + "ROUTES_FILE", repr(settings.routes_file), str(error)) from None


def connect_channels(settings: Settings) -> dict[str, Channel]:
    """Every channel that has its settings and is switched on, by its name; connects to nothing yet.

    Raises:
        SettingsError: a channel is set in part only, or an address cannot be used. The start stops there.
    """
    found: dict[str, Channel] = {}
    for name, spec in CHANNELS.items():
        if spec.connect and _is_set(spec, settings) and _is_switched_on(spec, settings):
            _check_complete(spec, settings)
            found[name] = spec.connect(settings)
    return found


def _is_set(spec: ChannelSpec, settings: Settings) -> bool:
    wanted_by = spec.wanted_by or spec.settings
    return not wanted_by or any(getattr(settings, name) for name in wanted_by)


def _is_switched_on(spec: ChannelSpec, settings: Settings) -> bool:
    return bool(getattr(settings, spec.switch))


def _check_complete(spec: ChannelSpec, settings: Settings) -> None:
    missing = [name for name in spec.settings if not getattr(settings, name)]
    if missing:
        rest = " and ".join(PREFIX + name.upper() for name in spec.settings if name not in missing)
        raise SettingsError(
            PREFIX + missing[0].upper(), "(not set)", f"must be set together with {rest}, or none of them"
        )


def _quiet_after_s(raw: str) -> dict[str, float]:
    pairs = (pair.partition("=") for pair in raw.split(",") if pair.strip())
    return {topic.strip(): float(seconds) for topic, _, seconds in pairs}
