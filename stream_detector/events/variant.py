"""Variants: which regular form of its workflow an execution is, and the state keys that follow from it.

Pushes to the default branch, pull requests and nightly schedules of one workflow differ in duration and in what a
failure means, so each has its own state. Sources name the forms listed here; a producer may name any.

| state key | of |
|---|---|
| `workflow:<id>` | a workflow's executions without a variant |
| `workflow/<variant, percent-encoded>:<id>` | those of one variant |
| `score:<id>` | a scored entity |

Everything after the first ":" is the id, in all three: the owner of a key is found without reading the rest of it, and
no id can look like a variant.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Final, NamedTuple
from urllib.parse import quote, unquote
from zlib import crc32

from msgspec import Meta

DEFAULT_BRANCH: Final = "default branch"
SCHEDULE: Final = "schedule"
PULL_REQUEST: Final = "pull request"
TAG: Final = "tag"
MANUAL: Final = "manual"
BRANCH: Final = "branch"
CHILD_PREFIX: Final = "child:"
"""Of a child pipeline; its name follows."""
UNNAMED_CHILD: Final = "child:unnamed"
"""Of several child pipelines that nothing tells apart; what is known of them follows."""

MAX_CHARACTERS: Final = 64
MAX_KEY: Final = 460
"""Of a state key, in characters: 64 percent-encoded ones, an id of 256 and what stands around them."""
_MAX_ENCODED: Final = 3 * MAX_CHARACTERS
_WORKFLOW, _VARIANT, _SCORE = "workflow:", "workflow/", "score:"

Variant = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=MAX_CHARACTERS,
        description="Which regular form of the workflow it is, for example `schedule`; each has its own baseline.",
    ),
]


class StateKeyParts(NamedTuple):
    """What a state key names. `variant` is None of a score, and of executions without one."""

    kind: str
    """`workflow` or `score`."""
    entity_id: str
    variant: str | None = None


def workflow_key(workflow_id: str, variant: str | None = None) -> str:
    """State key of a workflow, or of one of its variants.

    >>> workflow_key("nightly"), workflow_key("acme/app", "default branch")
    ('workflow:nightly', 'workflow/default%20branch:acme/app')
    """
    return state_key("workflow", workflow_id, variant)


def state_key(kind: str, entity_id: str, variant: str | None = None) -> str:
    """The state key of what an anomaly or incident is about; a kind of a later version has keys of its own.

    >>> state_key("score", "lido"), state_key("workflow", "app", "tag")
    ('score:lido', 'workflow/tag:app')
    """
    return f"{kind}:{entity_id}" if variant is None else f"{kind}/{_encoded(variant)}:{entity_id}"


def whole_workflow(key: str) -> str:
    """The key by which people mean all variants of its workflow; any other key is itself.

    >>> whole_workflow("workflow/tag:a:b"), whole_workflow("score:workflow/tag:a")
    ('workflow:a:b', 'score:workflow/tag:a')
    """
    return _WORKFLOW + key.partition(":")[2] if key.startswith(_VARIANT) else key


def names_of(key: str) -> tuple[str, ...]:
    """Everything that a silence or decision may name to mean `key`: the key, and its workflow with all variants.

    >>> names_of("workflow/tag:app"), names_of("workflow:app")
    (('workflow/tag:app', 'workflow:app'), ('workflow:app',))
    """
    whole = whole_workflow(key)
    return (key,) if whole == key else (key, whole)


def names_of_incident(key: str) -> tuple[str, ...]:
    """The same for an incident that is known under `key`.

    The variant `default branch` takes the state over that a workflow had before it had variants, and its incidents.
    What is known of such an incident may still have the key that it opened under.
    """
    if key.startswith(_WORKFLOW):
        return key, workflow_key(key.removeprefix(_WORKFLOW), DEFAULT_BRANCH)
    return names_of(key)


def shown_name(name: str, variant: str | None) -> str:
    """For people.

    >>> shown_name("app", "pull request"), shown_name("app", None)
    ('app (pull request)', 'app')
    """
    return name if variant is None else f"{name} ({variant})"


def key_parts(key: str) -> StateKeyParts:
    """The inverse of `state_key`, of both kinds.

    Raises:
        ValueError: the key is of neither kind, has no id, or its variant is not percent-encoded UTF-8.

    >>> key_parts("workflow/child%3Adeploy:acme/app")
    StateKeyParts(kind='workflow', entity_id='acme/app', variant='child:deploy')
    """
    head, colon, entity_id = key.partition(":")
    kind, slash, encoded = head.partition("/")
    if colon and entity_id:
        if not slash and kind in ("workflow", "score"):
            return StateKeyParts(kind, entity_id)
        if kind == "workflow" and encoded:
            return StateKeyParts(kind, entity_id, unquote(encoded, errors="strict"))
    raise ValueError("a state key is workflow:<id>, workflow/<variant>:<id> or score:<id>")


def is_workflow_key(key: str) -> bool:
    """Whether it is the state key of a workflow, of a variant or not."""
    return key.startswith((_WORKFLOW, _VARIANT))


def has_key(workflow_id: str, variant: str) -> bool:
    """Whether the state key of the variant is within `MAX_KEY`; characters beyond ASCII take 6 to 12 each in it."""
    return len(_VARIANT) + len(_encoded(variant)) + 1 + len(workflow_id) <= MAX_KEY


def variant_of_name(name: str) -> str:
    """A name of any length as a variant that has a key with every workflow; a longer one is cut, and stays distinct.

    >>> variant_of_name("nightly"), variant_of_name("x" * 99)
    ('nightly', 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx~dfcef126')
    """
    if len(name) <= MAX_CHARACTERS and len(_encoded(name)) <= _MAX_ENCODED:
        return name
    mark = f"~{crc32(name.encode('utf-8', 'replace')):08x}"
    kept, room = [], _MAX_ENCODED - len(mark)
    for character in name[: MAX_CHARACTERS - len(mark)]:
        room -= len(quote(character, safe="", errors="replace"))
        if room < 0:
            break
        kept.append(character)
    return "".join(kept) + mark


def variant_of_ref(branch: object, tag: object, default_branch: object) -> str | None:
    """The variant of a run that its trigger alone does not name; None where the default branch is not known.

    >>> variant_of_ref("main", None, "main"), variant_of_ref("fix", None, "main"), variant_of_ref("fix", None, None)
    ('default branch', 'branch', None)
    """
    if tag:
        return TAG
    if not branch or not default_branch:
        return None
    return DEFAULT_BRANCH if branch == default_branch else BRANCH


def variant_from_labels(labels: Mapping[str, str], names: Sequence[str]) -> str | None:
    """The variant that the labels of these names give, in the order of the names; None where it has none of them.

    Of several names the values stand between slashes, empty where a label is absent; a slash within one is encoded.

    >>> variant_from_labels({"trigger": "push", "os": "linux"}, ["trigger"])
    'push'
    >>> variant_from_labels({"os": "linux"}, ["trigger", "os"])
    '/linux'
    """
    values = [labels.get(name, "") for name in names]
    if not any(values):
        return None
    if len(values) > 1:
        values = [value.replace("%", "%25").replace("/", "%2F") for value in values]
    return variant_of_name("/".join(values))


@lru_cache(maxsize=4096)
def _encoded(variant: str) -> str:
    """Percent-encoded but for A-Z a-z 0-9 - _ . ~, which are what RFC 3986 calls unreserved."""
    return quote(variant, safe="", errors="replace")
