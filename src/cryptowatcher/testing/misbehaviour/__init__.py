"""Everything a price API has been seen to do wrong, by name. `MISBEHAVIOURS` says each in one line.

Rate limits in five forms, error bodies in as many shapes, connections that break in every place, prices of
null, 0 and 40,000 times too much, ids that vanish, time stamps that stand still. Importing this is cheap.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from cryptowatcher.testing.misbehaviour import bodies, charts, prices, refusals  # noqa: F401  # they register kinds
from cryptowatcher.testing.misbehaviour.model import KINDS, Answer, Misbehaviour, Scene, apply, parse_misbehaviour

MISBEHAVIOURS: Mapping[str, str] = MappingProxyType(
    {name: (act.__doc__ or "").splitlines()[0] for name, act in KINDS.items()}
)

__all__ = ["MISBEHAVIOURS", "Answer", "Misbehaviour", "Scene", "apply", "parse_misbehaviour"]
