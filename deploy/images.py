"""The images of docker-compose.yml and deploy/Dockerfile, from deploy/images.json: their one place.

`python deploy/images.py` writes them into both files. `--digests` (`make digests`) first asks each image's registry for
the digest of its tag and keeps it in images.json; where a registry does not answer nothing is changed, and the exit
code is 1. `--check` changes nothing; the exit code is 1 where a file differs.
"""

import argparse
import json
import re
import sys
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "deploy" / "images.json"
FILES = (ROOT / "docker-compose.yml", ROOT / "deploy" / "Dockerfile")
HUB = "https://registry-1.docker.io"
MANIFESTS = (
    "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, "
    "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"
)
TIMEOUT_S = 20.0


class RegistryError(Exception):
    """A registry gave no digest."""


def reference(entry: dict[str, str]) -> str:
    """How a file names an image.

    >>> reference({"image": "postgres", "tag": "17.6", "digest": "sha256:0a"})
    'postgres:17.6@sha256:0a'
    """
    return f"{entry['image']}:{entry['tag']}" + (f"@{entry['digest']}" if entry["digest"] else "")


def written(text: str, images: dict[str, dict[str, str]]) -> str:
    """A file with these images in the places where it names them, whatever their tags and digests there."""
    for entry in images.values():
        name = rf"(?<=[ ]){re.escape(entry['image'])}:[\w.-]+(@sha256:[0-9a-f]+)?(?=\s|$)"
        text = re.sub(name, lambda _, entry=entry: reference(entry), text)
    return text


def digest_of(entry: dict[str, str], registry: str = HUB) -> str:
    """The digest that the registry has for the tag now. Raises `RegistryError`."""
    name = entry["image"] if "/" in entry["image"] else f"library/{entry['image']}"
    url = f"{registry}/v2/{name}/manifests/{urllib.parse.quote(entry['tag'])}"
    headers = {"Accept": MANIFESTS}
    try:
        try:
            answer = _head(url, headers)
        except urllib.error.HTTPError as error:
            if error.code != 401:
                raise
            token = _token(error.headers.get("WWW-Authenticate", ""))
            answer = _head(url, headers | {"Authorization": f"Bearer {token}"})
    except (OSError, ValueError) as error:  # URLError and HTTPError are OSErrors
        raise RegistryError(f"{registry} gave no digest of {entry['image']}:{entry['tag']}: {error}") from None
    if not re.fullmatch(r"sha256:[0-9a-f]{64}", answer):
        raise RegistryError(f"{registry} answered {answer!r} for {entry['image']}:{entry['tag']}, which is no digest")
    return answer


def _head(url: str, headers: dict[str, str]) -> str:
    request = urllib.request.Request(url, headers=headers, method="HEAD")
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
        return str(answer.headers.get("Docker-Content-Digest", ""))


def _token(challenge: str) -> str:
    asked = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
    query = urllib.parse.urlencode({name: asked[name] for name in ("service", "scope") if name in asked})
    if not asked.get("realm", "").startswith(("https://", "http://127.0.0.1")):
        raise ValueError(f"it asks for a token at {asked.get('realm')!r}")
    with urllib.request.urlopen(f"{asked['realm']}?{query}", timeout=TIMEOUT_S) as answer:
        return str(json.load(answer)["token"])


def main() -> int:
    """See above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--digests", action="store_true")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--registry", default=HUB)
    asked = parser.parse_args()
    images: dict[str, dict[str, str]] = json.loads(IMAGES.read_text("utf-8"))
    if asked.digests:
        try:
            images = {name: entry | {"digest": digest_of(entry, asked.registry)} for name, entry in images.items()}
        except RegistryError as error:
            print(f"{error}\nNothing was changed.", file=sys.stderr)
            return 1
        lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(entry)}" for name, entry in images.items())
        IMAGES.write_text(f"{{\n{lines}\n}}\n", "utf-8")
    texts = {path: (before := path.read_text("utf-8"), written(before, images)) for path in FILES}
    differing = [path for path, (before, after) in texts.items() if before != after]
    if asked.check:
        print("\n".join(f"{path.name} names other images than images.json" for path in differing), file=sys.stderr)
        return 1 if differing else 0
    for path in differing:
        path.write_text(texts[path][1], "utf-8")
        print(f"{path.name}: written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
