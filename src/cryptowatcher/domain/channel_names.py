"""What channels are called: a name by their owner, an address where all owners' channels stand side by side.

A channel of the configuration has its name as its address, an owner's own one `name@owner`. A name holds no `@`,
so the two never meet, and neither do two owners' of one name.
"""

from __future__ import annotations

from typing import Final

_OF: Final = "@"


def own_address(owner: str, name: str) -> str:
    """Of a channel that its owner added."""
    return f"{name}{_OF}{owner}"


def name_in(address: str) -> str:
    """What the owner calls it."""
    return address.partition(_OF)[0]


def is_own(address: str) -> bool:
    """Whether an owner added it, and not the configuration."""
    return _OF in address


def owner_in(address: str) -> str:
    """Who added it; "" where it is the configuration's."""
    return address.partition(_OF)[2]
