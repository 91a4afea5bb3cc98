"""The list of modules to compile in ``setup.py``: all there, and nothing interpreted inherits from what is compiled."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]


def hot_modules() -> set[Path]:
    """As ``setup.py`` lists them."""
    tree = ast.parse((ROOT / "setup.py").read_text())
    (listed,) = (
        node.value for node in tree.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_HOT"
    )
    folders: dict[str, str] = ast.literal_eval(listed)
    return {
        ROOT / "src" / "interlock" / folder / f"{name}.py"
        for folder, names in folders.items()
        for name in names.split()
    }


def classes_of(path: Path) -> Iterator[ast.ClassDef]:
    return (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ClassDef))


def test_all_of_them_are_there() -> None:
    assert len(hot_modules()) > 20
    assert [path for path in hot_modules() if not path.exists()] == []


def test_nothing_interpreted_inherits_from_what_is_compiled() -> None:
    """mypyc refuses such a class when it is used first, and only then."""
    compiled = {node.name for path in hot_modules() for node in classes_of(path)}
    interpreted = set((ROOT / "src").rglob("*.py")) - hot_modules()
    heirs = [
        f"{path.relative_to(ROOT)}: {node.name}"
        for path in sorted(interpreted)
        for node in classes_of(path)
        if compiled & {ast.unparse(base).partition("[")[0] for base in node.bases}
    ]
    assert heirs == []
