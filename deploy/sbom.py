"""Adds to the bill of materials (CycloneDX JSON) what no Python package declares: the version, the dashboard's code.

python deploy/sbom.py dist/sbom.cdx.json
"""

import json
import re
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

ROOT = Path(__file__).parents[1]


def imported(sources: Path) -> set[str]:
    """The packages that the dashboard's sources import, without the paths within them."""
    found: set[str] = set()
    for path in sources.rglob("*.ts*"):
        for name in re.findall(r"""(?:from|import) ["']([^."'][^"']*)["']""", path.read_text("utf-8")):
            found.add("/".join(name.split("/")[: 2 if name.startswith("@") else 1]))
    return found


def bundled(lock: dict[str, Any], imported: set[str]) -> list[dict[str, Any]]:
    """The npm packages that the built dashboard contains: what its sources import, with all that these need.

    Args:
        lock: package-lock.json.
        imported: names of packages.
    """
    packages, names, todo = lock["packages"], set(), sorted(imported)
    while todo:
        name = todo.pop()
        if name not in names:
            names.add(name)
            todo += packages[f"node_modules/{name}"].get("dependencies", {})
    components = []
    for name in sorted(names):
        package = packages[f"node_modules/{name}"]
        purl = f"pkg:npm/{quote(name, safe='/')}@{package['version']}"
        components.append(
            {"type": "library", "bom-ref": purl, "name": name, "version": package["version"], "purl": purl}
            | ({"licenses": [{"license": {"id": package["license"]}}]} if "license" in package else {})
        )
    return components


def main() -> int:
    """See above."""
    path = Path(sys.argv[1])
    bill = json.loads(path.read_text("utf-8"))
    source = (ROOT / "stream_detector" / "__init__.py").read_text("utf-8")
    found = re.search(r'^__version__ = "([^"]+)"', source, re.MULTILINE)
    if found is None:
        raise SystemExit("stream_detector/__init__.py has no __version__")
    root = bill["metadata"]["component"]
    root["version"] = found[1]
    lock = json.loads((ROOT / "dashboard" / "package-lock.json").read_text("utf-8"))
    more = bundled(lock, imported(ROOT / "dashboard" / "src"))
    known = {component.get("purl") for component in bill.setdefault("components", [])}
    more = [component for component in more if component["purl"] not in known]
    bill["components"] += more
    for entry in bill.get("dependencies", []):
        if entry["ref"] == root["bom-ref"]:
            entry["dependsOn"] = sorted({*entry.get("dependsOn", []), *(each["bom-ref"] for each in more)})
    bill.setdefault("dependencies", []).extend({"ref": each["bom-ref"]} for each in more)
    path.write_text(json.dumps(bill, indent=2, sort_keys=True) + "\n", "utf-8")
    print(f"{path}: {len(bill['components'])} components of stream-detector {found[1]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
