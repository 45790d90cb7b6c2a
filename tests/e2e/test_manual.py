"""W43: the page of the API in a real Chromium: readable by all, on a phone too, and nobody else is asked."""

import pytest
from playwright.async_api import Request, expect

from tests.servers.dashboard import OUTPUT, OpenPage, no_sideways_scroll, violations

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_w43_the_api_can_be_read_in_a_browser_without_any_other_host(
    root: str, open_page: OpenPage, scheme: str
) -> None:
    asked: list[str] = []

    def note(request: Request) -> None:
        asked.append(request.url)

    async with open_page(signed_in=False, color_scheme=scheme, viewport={"width": 375, "height": 800}) as page:
        page.on("request", note)
        refused: list[str] = []
        page.on("console", lambda said: refused.append(said.text) if said.type == "error" else None)
        answer = await page.goto(f"{root}/docs")
        assert answer is not None and answer.status == 200
        policy = (await answer.all_headers())["content-security-policy"]
        assert policy.startswith("default-src 'none'") and "unsafe" not in policy and "http" not in policy
        await page.get_by_role("link", name="GET /api/v1/ai/anomalies/trends").click()
        await expect(page.get_by_role("heading", name="GET /api/v1/ai/anomalies/trends")).to_be_in_viewport()
        assert await no_sideways_scroll(page)
        OUTPUT.mkdir(parents=True, exist_ok=True)
        await page.screenshot(path=OUTPUT / f"api-{scheme}.png")
        assert asked and all(url.startswith(root) for url in asked) and not refused
    async with open_page(
        signed_in=False, color_scheme=scheme
    ) as page:  # axe is a script, which the page itself forbids
        text = await (await page.request.get(f"{root}/docs")).text()
        style = await (await page.request.get(f"{root}/docs/manual.css")).text()
        await page.set_content(text)
        await page.add_style_tag(content=style)
        assert await violations(page) == []
