"""Directories of plugins, and what is in them."""
from __future__ import annotations

import json
import os
import threading
from ctypes import byref, c_void_p
from typing import Any, Dict, List, Optional, Sequence, Union

from ._library import Error, Handle, asked, call, library_path
from ._pack import c_texts

Places = Union[str, "os.PathLike[str]", Sequence[Union[str, "os.PathLike[str]"]], None]


def plugin_directories() -> List[str]:
    """Where plugins are looked for when nobody says: GRPO_PLUGINS (separated by colons), else beside the library: in its
    build tree, or where it is installed."""
    given = os.environ.get("GRPO_PLUGINS")
    if given:
        return [place for place in given.split(os.pathsep) if place]
    folder = os.path.dirname(library_path())
    for place in ("../plugins", "grpo/plugins", "../grpo/plugins", "plugins"):
        path = os.path.normpath(os.path.join(folder, place))
        if os.path.isdir(path):
            return [path]
    raise Error(f"there is no folder of plugins beside {library_path()}; name yours: plugins=\"DIRECTORY\", or set "
                "GRPO_PLUGINS", "invalid")


def places_of(plugins: Places) -> List[str]:
    if plugins is None:
        return plugin_directories()
    if isinstance(plugins, (str, os.PathLike)):
        return [os.fspath(plugins)]
    return [os.fspath(place) for place in plugins]


class Plugins:
    """The plugins in some directories (single .so files are fine too). Their manifests are read; no code of theirs runs
    before one of them is opened."""

    def __init__(self, places: Places = None):
        self.places = places_of(places)
        handle = c_void_p()
        call("plugins_open", c_texts(self.places), len(self.places), byref(handle))
        self._handle = Handle(handle, "plugins_close")

    def describe(self) -> Dict[str, Any]:
        """{"plugins": [...], "refused": [...]}"""
        return json.loads(asked("plugins_list", self._handle))

    def components(self, kind: Optional[str] = None) -> List[Dict[str, Any]]:
        """Each with kind ("reward", ...), name, options, and plugin, version and path of its library."""
        return [dict(c, plugin=p["name"], version=p["version"], path=p["path"])
                for p in self.describe()["plugins"] for c in p["components"] if kind in (None, c["kind"])]


def components(plugins: Places = None, kind: Optional[str] = None) -> List[Dict[str, Any]]:
    """The components of plugins; see Plugins.components."""
    return shared(plugins).components(kind)


_lock = threading.Lock()
_shared: Dict[Any, Plugins] = {}


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()
    _shared.clear()  # a list of plugins has a lock as well


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def shared(plugins: Union[Places, Plugins]) -> Plugins:
    """One Plugins for the same places."""
    if isinstance(plugins, Plugins):
        return plugins
    places = tuple(os.path.abspath(place) for place in places_of(plugins))
    with _lock:
        if places not in _shared:
            _shared[places] = Plugins(places)
        return _shared[places]
