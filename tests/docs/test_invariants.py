"""Invariants of docs/ARCHITECTURE.md that only the source tree can show."""

import ast
from pathlib import Path

from tests.docs.markdown import ROOT

PACKAGE = ROOT / "src" / "interlock"
MODULES = sorted(PACKAGE.rglob("*.py"))


def calls(path: Path) -> set[str]:
    """The names that a module calls, without what is in front of the last dot."""
    called = (node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))
    return {func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "") for func in called}


def imports(path: Path) -> set[str]:
    """The modules that a module imports, and the names it imports from them, with their modules in front."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def name(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


def test_only_enforcement_makes_a_permit() -> None:
    for kind in ("Permit", "Trial"):
        assert [name(path) for path in MODULES if kind in calls(path)] == ["services/enforcement/judge.py"]


def test_only_main_imports_the_wiring() -> None:
    importing = [path for path in MODULES if any(module.startswith("interlock.bootstrap") for module in imports(path))]
    assert [name(path) for path in importing if path.parent.name != "bootstrap"] == ["__main__.py"]


def test_protocols_do_not_import_one_another() -> None:
    protocols = {path.name for path in (PACKAGE / "protocols").iterdir() if (path / "__init__.py").exists()}
    for protocol in protocols:
        others = {f"interlock.protocols.{other}" for other in protocols - {protocol}}
        for path in (PACKAGE / "protocols" / protocol).rglob("*.py"):
            assert not imports(path) & others, name(path)


def test_the_demo_uses_the_gateway_as_anyone_would() -> None:
    for path in (PACKAGE / "demo").glob("*.py"):
        of_the_gateway = {module for module in imports(path) if module.startswith("interlock.")}
        assert all(module.startswith("interlock.demo") for module in of_the_gateway), name(path)


def test_every_module_says_what_it_is() -> None:
    silent = [
        name(path)
        for path in MODULES
        if path.read_text().strip() and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert silent == []
