"""How a new source, channel, journal or store becomes known: it is one new file with a `SETTINGS` type.

Each adapter module names its settings type, a frozen msgspec Struct with `tag_field="kind"`, as `SETTINGS`.
The settings open the adapter: `async with settings.open(deps) as adapter`. Nothing central is edited.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any


def settings_in(package: str) -> tuple[Any, ...]:
    """The settings types of all adapters in a package, in order of module name."""
    found = importlib.import_module(package)
    names = sorted(module.name for module in pkgutil.iter_modules(found.__path__))
    modules = [importlib.import_module(f"{package}.{name}") for name in names]
    return tuple(module.SETTINGS for module in modules if hasattr(module, "SETTINGS"))
