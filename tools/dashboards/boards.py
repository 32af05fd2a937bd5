"""All dashboards, and the text of their files."""

from __future__ import annotations

import json
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from tools.dashboards import capacity, delivery, market, overview, quality

FOLDER = Path(__file__).resolve().parents[2] / "deploy/grafana/dashboards"


def texts() -> dict[str, str]:
    """File name → JSON, the same at every run."""
    boards = [module.board().build() for module in (overview, quality, delivery, capacity, market)]
    return {
        f"{board.uid}.json": json.dumps(board, cls=JSONEncoder, indent=2, sort_keys=True) + "\n"
        for board in boards
    }
