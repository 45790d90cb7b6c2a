"""Nothing generated is stale, and the one command mends what is."""

from pathlib import Path

from tests.generate import ROOT, generated, write


def test_nothing_generated_is_stale() -> None:
    assert write(ROOT, check=True) == [], "run make generate"


def test_every_schema_is_generated_but_the_list_of_topics() -> None:
    there = {f"schemas/{path.name}" for path in (ROOT / "schemas").iterdir()}
    assert there - set(generated()) == {"schemas/asyncapi.yaml"}


def test_it_writes_what_is_stale_and_nothing_else(tmp_path: Path) -> None:
    assert write(tmp_path, check=True) == [*generated()]
    assert not any(tmp_path.iterdir())
    assert write(tmp_path) == [*generated()]
    (tmp_path / "docs" / "settings.md").write_text("# Settings\n")
    assert write(tmp_path) == ["docs/settings.md"]
    assert write(tmp_path, check=True) == []
