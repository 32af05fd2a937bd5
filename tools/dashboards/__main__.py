"""Writes every dashboard, and removes those that are no more."""

from __future__ import annotations

from tools.dashboards.boards import FOLDER, texts


def main() -> None:
    wanted = texts()
    FOLDER.mkdir(parents=True, exist_ok=True)
    for old in FOLDER.glob("*.json"):
        if old.name not in wanted:
            old.unlink()
    for name, text in wanted.items():
        (FOLDER / name).write_text(text)


if __name__ == "__main__":
    main()
