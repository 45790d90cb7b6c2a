"""Words of the dialect that this project once had, and what the field says instead.

Text within backticks and fenced code is not judged: it names something by its exact name.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple


class Found(NamedTuple):
    """One use of such a word."""

    context: str
    better: str


_WORDS: dict[str, str] = {
    r"told": "notified, reported, sent, shown; `told apart`: distinguished",
    r"tell(s|ing)? (of|apart)": "reports, is about; distinguishes",
    r"heed(s|ed)?": "records",
    r"slates?": "baseline buffer",
    r"shards?": "task (Kafka Streams' word)",
    r"outbox": "batch producer",
    r"happenings?": "log event",
    r"(of|from) before": "previous, earlier, existing",
    r"ends? (itself|themselves)": "exits",
    r"lies on": "is on, is stored on",
    r"so long(?! as)": "for this long; of a setting: retention, time limit",
    r"so (many|much)(?! (that|as))": "this many; name the quantity",
    r"anew": "again, from scratch",
    r"says? (which|what|so|how|why|where|whom|it)": "reports, explains, names",
    r"has what": "contains",
    r"(is|are|was|were) away": "is unavailable, does not answer",
    r"not taken": "rejected, not accepted",
    r"roster(s)?": "entity membership",
    r"rush(es)?": "volume spike",
    r"lone": "point anomaly; single",
    r"lasting": "level shift; sustained",
    r"widen(s|ed|ing)": "threshold multiplier",
    r"goes on|go on|going on|went on": "continues; is ongoing",
    r"work(s|ed|ing)? off": "processes",
    r"mend(s|ed|ing)?": "fix, correct",
    r"(can(not)?|may|could) be had": "available",
    r"beside": "in addition to, next to",
    r"(is|are) waited for": "waits for",
    r"least (severity|level|time|value)": "minimum",
    r"asks? no": "works without contacting",
    r"rarer than": "alert threshold",
    r"foresee(s|n)?": "optimistic update",
    r"shall": "must, will",
    r"stay(s|ed)? as (it|they) (is|are|was|were)": "is unchanged",
    r"(?<!there )(?<!There )is no (?!longer|more|way|later|less|need)": "is not a",
    r"bur(y|ied|ies)": "sends to the dead-letter topic",
    r"(un)?heard": "received; last score",
    r"to whomever|whomever": "to any channel",
    r"of late": "recently",
    r"by and by": "gradually",
    r"nought|naught": "0, nothing",
    r"thereupon|henceforth|therein|wherein": "plain words",
    r"lets? go of": "releases",
    r"makes? nothing of": "ignores",
    r"looks? after": "monitors, supervises",
    r"(is|are) (alike|unlike)": "is equal to, differs from",
    r"(is|was|are|were) said": "is reported",
    r"without a word": "silently",
    r"(is|are) over(?! \d)": "has ended; resolved",
    r"got on": "made progress",
    r"processor time": "CPU time",
    r"in force": "effective, current",
    r"the least": "the minimum",
    r"of ours": "of stream_detector, native",
    r"as it came": "unchanged",
    r"(is|are|was|were) gone": "was deleted, no longer exists",
    r"what (is|was) over": "what has ended",
    r"held? against": "compared with",
}
_PATTERNS = [(re.compile(rf"\b(?:{word})(?!\w)", re.IGNORECASE), better) for word, better in _WORDS.items()]
_EXACT_NAMES = re.compile(r"^(```|~~~).*?^\1|`[^`\n]+`", re.DOTALL | re.MULTILINE)
_CONTEXT = 40


def findings(text: str) -> Iterator[Found]:
    """Each use of such a word in the text."""
    prose = " ".join(_EXACT_NAMES.sub("`name`", text).split())
    for pattern, better in _PATTERNS:
        for found in pattern.finditer(prose):
            context = prose[max(0, found.start() - _CONTEXT) : found.end() + _CONTEXT]
            yield Found(context, better)
