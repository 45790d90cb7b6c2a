"""The command sums up the demo and compares it with an earlier run."""

import json
from pathlib import Path

import pytest

from benchmarks.checksums.__main__ import main


@pytest.mark.drill
def test_a_run_is_compared_with_an_earlier_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    earlier = tmp_path / "earlier.json"
    earlier.write_text(json.dumps({"demo scores | robust | kept": {"alerts": "other"}}))
    assert main(["--parts", "demo", "--json", "--against", str(earlier)]) == 1
    said = capsys.readouterr()
    assert "DIFFERS: demo scores | robust | kept | alerts: other before" in said.err
    assert "demo scores | robust | kept" in json.loads(said.out.splitlines()[-1])
