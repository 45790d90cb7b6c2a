"""Detection: baselines and the rules that judge by them. Pure.

Receives typed events from `roles`, `serve` or a file, one key's baseline at a time; returns anomalies with their
evidence, or nothing with the reason. Never reads a clock, the environment, a file or the network, and never changes
anything but the baseline it is given.
"""

from stream_detector.detect.baseline import Baseline, NamedBaseline, ScoreBaseline, WorkflowBaseline
from stream_detector.detect.baseline_buffer import BaselineBuffer
from stream_detector.detect.codec.packed import PackedError
from stream_detector.detect.config import (
    Config,
    ProfileRule,
    ScoreRule,
    ScoreThresholdRule,
    profile_rules,
    score_threshold_rules,
)
from stream_detector.detect.outcome import Outcome
from stream_detector.detect.step import key_of, step

__all__ = [
    "Baseline",
    "BaselineBuffer",
    "Config",
    "NamedBaseline",
    "Outcome",
    "PackedError",
    "ProfileRule",
    "ScoreBaseline",
    "ScoreRule",
    "ScoreThresholdRule",
    "WorkflowBaseline",
    "key_of",
    "profile_rules",
    "score_threshold_rules",
    "step",
]
