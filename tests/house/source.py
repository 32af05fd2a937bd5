"""The project's own files, as the house tests read them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SRC = ROOT / "src" / "cryptowatcher"


@cache
def modules() -> dict[str, ast.Module]:
    """Dotted name (`cryptowatcher.domain.ticks`) → syntax tree of every module in src."""
    return {_dotted(path): ast.parse(path.read_text()) for path in sorted(SRC.rglob("*.py"))}


def is_package(module: str) -> bool:
    return (ROOT / "src" / Path(*module.split("."))).is_dir()


def imports(module: str, tree: ast.Module) -> Iterator[tuple[str, int]]:
    """(dotted name of what is imported, line), relative imports resolved; names of `from` imports included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = module.split(".") if is_package(module) else module.split(".")[:-1]
                base = ".".join([*package[: len(package) - node.level + 1], *filter(None, [base])])
            yield from ((f"{base}.{alias.name}", node.lineno) for alias in node.names)


def _dotted(path: Path) -> str:
    parts = path.relative_to(ROOT / "src").with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
