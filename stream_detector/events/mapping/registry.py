"""The mappings that webhooks and topics are read by: those of the folder that the setting MAPPINGS_DIR names."""

from collections.abc import Collection
from pathlib import Path

from stream_detector.events.mapping.load import MappingError, load_folder
from stream_detector.events.mapping.mapping import Mapping

_of_folder: dict[str, Mapping] = {}


def use_folder(folder: Path | None, taken: Collection[str] = ()) -> None:
    """From now on this process knows the mappings of the folder, and no others. Raises `MappingError`.

    Args:
        folder: None for no mappings.
        taken: names that mean something else.
    """
    found = load_folder(folder) if folder else {}
    if both := sorted(found.keys() & set(taken)):
        raise MappingError(f"{folder}/{both[0]}.toml: {both[0]} is read without a mapping; choose another name")
    _of_folder.clear()
    _of_folder.update(found)


def find_mapping(name: str) -> Mapping | None:
    """The mapping of that name, None where there is none."""
    return _of_folder.get(name)
