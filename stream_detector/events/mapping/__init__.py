"""Mappings: a small TOML file that names, for JSON or a table of any other system, where the fields of ours are.

Receives a document or a row; returns the fields of events, which the decoder holds to the contract like any other.
Never does I/O, but `load` reads the file that it is given.
"""

from stream_detector.events.mapping.documents import read_exactly
from stream_detector.events.mapping.load import MappingError, load_folder, load_mapping
from stream_detector.events.mapping.mapping import Mapping
from stream_detector.events.mapping.registry import find_mapping, use_folder

__all__ = [
    "Mapping",
    "MappingError",
    "find_mapping",
    "load_folder",
    "load_mapping",
    "read_exactly",
    "use_folder",
]
