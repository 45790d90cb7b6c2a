"""S30: mails as people see them, in Chromium: on a phone and a desk, light and dark; nothing cut, nothing loaded.

The mails are those that a real mail server was given. Pictures of them, to be looked at, are in `test-output/mails`.
"""

from dataclasses import replace
from pathlib import Path

import pytest
from playwright.async_api import Page, Request

from stream_detector.notify.configure import connect_channels
from stream_detector.notify.message import Delivered, Message
from stream_detector.notify.stages.render import message_about
from stream_detector.notify.subject import Subject
from stream_detector.settings import Settings
from tests.servers.dashboard import OpenPage
from tests.servers.smtp import MailServer
from tests.unit.notify.living import Notifier
from tests.unit.notify.subjects import CONFIG, slow
from tests.unit.notify.test_rendering import OF_TIME, ONE, SUBJECTS, TWO

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]
OUTPUT = Path(__file__).parents[2] / "test-output" / "mails"

SUBJECTS_SHOWN: dict[str, Subject] = {
    "run": replace(TWO, anomalies=(*TWO.anomalies, *SUBJECTS["nasty-run"].anomalies)),  # type: ignore[union-attr]
    "run-of-one": ONE,
    "slow": SUBJECTS["slow"],
    "resolved": SUBJECTS["resolved"],
    "nasty": SUBJECTS["nasty"],
}


def of_time() -> dict[str, Message]:
    """What only time makes, and a message with links that act."""
    signed = replace(CONFIG, link_key=b"k" * 32)
    made = OF_TIME | {"links": Notifier(signed).take(slow("a")).deliver()}
    return {
        name: next(one.message for one in reversed(notifier.sent) if one.message.channel == "email")
        for name, notifier in made.items()
    }


MAILS: dict[str, Message] = {
    **{name: message_about("email", subject, CONFIG, "m1") for name, subject in SUBJECTS_SHOWN.items()},
    **of_time(),
}
RED, LIGHT_RED = (198, 40, 40), (255, 138, 128)
CONTRAST = """element => {
  const channel = c => { c /= 255; return c <= .03928 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4; };
  const luminance = rgb => { const [r, g, b] = rgb.match(/[\\d.]+/g).map(Number).map(channel);
    return .2126 * r + .7152 * g + .0722 * b; };
  const behind = e => { const c = getComputedStyle(e).backgroundColor;
    return c !== 'rgba(0, 0, 0, 0)' ? c : e.parentElement ? behind(e.parentElement) : 'rgb(255, 255, 255)'; };
  const [a, b] = [luminance(getComputedStyle(element).color), luminance(behind(element))].sort((x, y) => y - x);
  return (a + .05) / (b + .05);
}"""


@pytest.mark.parametrize("name", MAILS)
async def test_s30_mail_rendered_in_a_browser(name: str, tmp_path: Path, open_page: OpenPage) -> None:
    server = await MailServer(folder=tmp_path).start()
    settings = Settings(smtp_url=server.url, email_from="alerts@example.org", email_to="you@example.org")
    sent = await connect_channels(settings)["email"].deliver(MAILS[name])
    await server.stop()
    assert isinstance(sent, Delivered), sent
    part = server.mails[0].get_body(("html",))
    assert part is not None
    async with open_page(signed_in=False) as page:
        for width in (375, 1280):
            for scheme in ("light", "dark"):
                await page.set_viewport_size({"width": width, "height": 800})
                await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
                await look(page, name, part.get_content(), width, scheme)


async def look(page: Page, name: str, html: str, width: int, scheme: str) -> None:
    """Open the mail as wide and as dark as that, and hold it to what S23 and S24 say."""
    asked: list[str] = []

    def on_request(request: Request) -> None:
        asked.append(request.url)

    page.on("request", on_request)
    await page.set_content(html)
    await page.screenshot(path=OUTPUT / f"{name}-{width}-{scheme}.png", full_page=True)
    page.remove_listener("request", on_request)
    assert asked == [], "a mail loads nothing"
    assert await page.evaluate("document.documentElement.scrollWidth") <= width, "no scrolling sideways"
    for text in await page.locator("h1, h2, p, li, th, td:not(.card), a").all():
        assert await text.evaluate(CONTRAST) >= 4.5, await text.inner_text()
    if name.startswith("run"):
        assert await page.locator("h1").inner_text() == "⚠️ GVS Anomaly Alert"
        assert (await page.locator("th").all_inner_texts()) == ["DAO", "Previous", "Current", "Change"]
        lido = page.locator(".changes tbody tr", has_text="Lido")
        assert (await lido.locator("td").all_inner_texts()) == ["Lido", "7.5", "5.8", "-1.7"]
        colour = await lido.locator("td").last.evaluate("element => getComputedStyle(element).color")
        assert colour == f"rgb{RED if scheme == 'light' else LIGHT_RED}"
        assert await page.get_by_text("Threshold: ±0.5").is_visible()
        link = page.get_by_role("link", name="View Dashboard")
        assert await link.get_attribute("href") == "https://gvs.example.org/anomalies?run=2026-01-22"
    if name == "nasty":
        assert await page.locator("h1 b, li b, p b").count() == 0, "a name is text"
        assert "<b>x</b>" in await page.locator("h1").inner_text()
