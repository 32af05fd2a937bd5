"""Imports run one way: errors, plugins → domain → ports → (pipeline | adapters | web) → config → app → cli."""

from __future__ import annotations

import ast

import pytest

from tests.house.source import imports, modules

ABOVE = {
    "errors": set[str](),
    "plugins": set[str](),
    "logs": set[str](),
    "listening": {"errors"},
    "service": set[str](),
    "garbage": set[str](),
    "domain": {"errors", "plugins"},
    "ports": {"errors", "plugins", "domain"},
    "recall": {"domain", "ports"},
    "configured": {"domain", "ports"},
    "exchanging": {"domain", "ports"},
    "previewing": {"domain", "ports"},
    "explaining": {"domain", "ports", "previewing"},
    "summarizing": {"domain", "ports"},
    "trying": {"errors", "domain", "ports"},
    "pipeline": {"errors", "plugins", "logs", "domain", "ports", "recall", "summarizing"},
    "adapters": {"errors", "plugins", "logs", "domain", "ports"},
    "web": {
        "errors",
        "plugins",
        "logs",
        "domain",
        "ports",
        "recall",
        "exchanging",
        "previewing",
        "explaining",
        "trying",
        "listening",
        "summarizing",
    },
    "models": {"errors", "plugins", "logs", "domain", "ports"},
}
ABOVE["config"] = {*ABOVE, "adapters"} - {
    "pipeline",
    "configured",
    "recall",
    "exchanging",
    "previewing",
    "explaining",
    "summarizing",
    "trying",
    "web",
    "models",
}
ABOVE["adding"] = {*ABOVE["config"], "config", "trying"}
ABOVE["supervise"] = ABOVE["pipeline"]
ABOVE["replay"] = {*ABOVE} - {"replay"}
ABOVE["backup"] = {*ABOVE} - {"backup"}
ABOVE["doctor"] = {*ABOVE} - {"doctor"}
ABOVE["program"] = {*ABOVE["pipeline"], "pipeline", "supervise"}
ABOVE["app"] = {*ABOVE} - {"app"}
ABOVE["testing"] = {*ABOVE} - {"testing"}
ABOVE["cli"] = {*ABOVE} - {"cli"}
ABOVE["__main__"] = {"cli"}
"""Each room, and the rooms it may import from. `testing` may use everything but cli; only cli uses `testing`."""

IMPURE = {
    "apsw", "asyncio", "concurrent", "http", "httpx", "io", "logging", "multiprocessing", "os", "pathlib",
    "secrets", "shutil", "signal", "socket", "sqlalchemy", "sqlite3", "structlog", "subprocess", "sys",
    "tempfile", "threading", "time", "uuid",
}  # fmt: skip
"""What a pure domain has no use for."""

ALLOWED = {("cryptowatcher.domain.wire", "threading"): "a compressor's context may not be shared by threads"}
"""(module, import) → why all the same."""


def room(module: str) -> str:
    """`cryptowatcher.domain.ticks` → `domain`."""
    return module.split(".")[1]


def ours() -> dict[str, ast.Module]:
    return {name: tree for name, tree in modules().items() if "." in name}


def test_every_room_is_known() -> None:
    assert {room(name) for name in ours()} <= set(ABOVE)


@pytest.mark.parametrize("name", ours())
def test_imports_run_one_way(name: str) -> None:
    wrong = [
        f"line {line}: {target}"
        for target, line in imports(name, modules()[name])
        if target.startswith("cryptowatcher.")
        and (target_room := target.split(".")[1]) in ABOVE
        and target_room != room(name)
        and target_room not in ABOVE[room(name)]
    ]
    assert not wrong, f"{name} imports from a room it may not know: {wrong}"


def test_the_package_itself_imports_nothing() -> None:
    for name in ("cryptowatcher", "cryptowatcher.cli"):
        top_level = [node for node in modules()[name].body if isinstance(node, ast.Import | ast.ImportFrom)]
        assert not top_level, f"{name} must import nothing, or `--help` becomes slow"


def test_the_domain_is_pure() -> None:
    wrong = [
        f"{name}:{line} imports {target}"
        for name, tree in ours().items()
        if room(name) == "domain"
        for target, line in imports(name, tree)
        if (top := target.split(".")[0]) in IMPURE and (name, top) not in ALLOWED
    ]
    assert not wrong


def test_adapters_never_import_each_other() -> None:
    """Two adapters share only what is no adapter: modules beside the families, and modules of the family without
    SETTINGS (the tables of both stores)."""
    openable = {name for name, tree in ours().items() if room(name) == "adapters" and defines_settings(tree)}
    wrong = [
        f"{name}:{line} imports {other}"
        for name, tree in ours().items()
        if room(name) == "adapters"
        for target, line in imports(name, tree)
        for other in openable
        if (target == other or target.startswith(f"{other}."))
        and not (name == other or name.startswith(f"{other}."))
    ]
    assert not wrong


def test_adapters_of_one_family_do_not_know_another_family() -> None:
    wrong = [
        f"{name}:{line} imports {target}"
        for name, tree in ours().items()
        if room(name) == "adapters" and len(name.split(".")) > 3
        for target, line in imports(name, tree)
        if target.startswith("cryptowatcher.adapters.")
        and (family := target.split(".")[2]) in ("sources", "channels", "journals", "stores")
        and family != name.split(".")[2]
    ]
    assert not wrong


def defines_settings(tree: ast.Module) -> bool:
    return any(
        isinstance(target, ast.Name) and target.id == "SETTINGS"
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
    )
