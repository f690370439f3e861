"""The rules of the house (docs/architecture.md), each as a test that says where it is broken and what to do."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "kinemark"
MODULES = sorted(PACKAGE.rglob("*.py"))

MAX_MODULE_LINES = 400
MAX_FUNCTION_LINES = 80

#: What each part may import of the others. A part is a package or a module directly under kinemark.
ALLOWED = {
    "errors": set(),
    "settings": {"errors"},
    "sizes": set(),
    "motion": set(),
    "timeline": {"errors", "sizes"},
    "trace": set(),
    "shares": set(),
    "ahead": set(),
    "client": {"errors"},
    "together": set(),
    "worlds": {"errors"},
    "data": {"errors", "settings", "worlds"},
    "model": {"errors", "timeline", "worlds"},
    "sampling": {"errors", "timeline", "model"},
    "safety": {"errors", "settings", "shares", "endpoints"},
    "provenance": {"errors", "settings", "safety", "data", "trace", "shares"},
    "training": {
        "errors",
        "settings",
        "timeline",
        "trace",
        "model",
        "sampling",
        "rollout",
        "spark",
        "worlds",
        "data",
        "safety",
        "shares",
        "together",
    },
    "uploads": {"settings", "timeline", "safety", "provenance"},
    "admission": {"errors", "settings", "timeline", "safety", "provenance", "uploads"},
    "retention": {"settings", "safety", "provenance"},
    "joins": {"motion"},
    "engine": set(),
    "spark": {"engine", "errors", "sizes", "timeline", "joins", "model", "sampling"},
    "wan": {"engine", "errors", "sizes", "timeline", "model", "sampling"},
    "catalogue": {"engine", "errors", "model", "sampling", "settings", "spark", "wan"},
    "rollout": {"timeline", "model", "sampling"},
    "clips": {"ahead", "settings", "provenance"},
    "conform": {"errors", "sizes", "timeline", "data"},
    "endpoints": {"errors"},
    "assistants": {"errors", "endpoints"},
    "captioning": {"model", "training", "worlds"},
    "expanding": {"errors", "model", "assistants"},
    "storyboard": {"errors", "timeline", "conform", "generate"},
    "generate": {
        "errors",
        "settings",
        "sizes",
        "timeline",
        "model",
        "sampling",
        "safety",
        "provenance",
        "admission",
        "rollout",
        "clips",
        "catalogue",
        "engine",
        "together",
    },
}
#: Nothing imports these but themselves.
TOP = {"cli", "server", "__init__", "__main__"}
#: These run on a bare GPU image.
BARE = {"model", "sampling", "worlds", "training"}
BARE_PACKAGES = {"torch", "numpy", "einops", "safetensors"}
#: The folders of provenance, lowest first: each imports from those before it, and `grid`.
PROVENANCE = ("marks", "fingerprints", "signing", "records")
#: Only here may a video be written, and only here is a codec called: on files, and in memory for measurements.
WRITERS = {"Mp4Writer": Path("provenance/release.py"), "FragmentWriter": Path("provenance/preview.py")}
CODECS = {Path("data/video.py"), Path("data/encode.py"), Path("data/transcode.py")}
#: OpenCV looks at pictures here, and opens no file.
DETECTORS = {Path("safety/frames/faces.py"), Path("safety/frames/symbols.py"), Path("motion.py")}


def relative(path: Path) -> Path:
    return path.relative_to(PACKAGE)


def part_of(path: Path) -> str:
    return relative(path).parts[0].removesuffix(".py")


def nodes_at_run_time(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node that runs: bodies of `if TYPE_CHECKING` are left out."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for other in node.orelse:
                yield other
                yield from nodes_at_run_time(other)
            continue
        yield node
        yield from nodes_at_run_time(node)


@cache
def imports(path: Path) -> set[str]:
    """Dotted names that a module imports when it runs, in functions too."""
    names = set()
    for node in nodes_at_run_time(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{relative(path)}:{node.lineno}: import from kinemark by its full name"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def test_every_part_has_its_place() -> None:
    new = {part_of(path) for path in MODULES} - set(ALLOWED) - TOP
    assert not new, f"say in tests/test_rules.py what these may import: {sorted(new)}"


def test_imports_point_one_way() -> None:
    wrong = {}
    for path in MODULES:
        part = part_of(path)
        used = {name.split(".")[1] for name in imports(path) if name.startswith("kinemark.")} - {part, "__version__"}
        if part not in TOP and used - ALLOWED[part]:
            wrong[str(relative(path))] = f"imports {sorted(used - ALLOWED[part])}; may import {sorted(ALLOWED[part])}"
    assert not wrong


def test_model_code_runs_on_a_bare_gpu_image() -> None:
    known = BARE_PACKAGES | set(sys.stdlib_module_names) | {"kinemark"}
    foreign = {
        str(relative(path)): names
        for path in MODULES
        if part_of(path) in BARE and (names := {name.split(".")[0] for name in imports(path)} - known)
    }
    assert not foreign, f"{sorted(BARE)} import {sorted(BARE_PACKAGES)} and the standard library only: {foreign}"


@pytest.mark.parametrize("place", range(len(PROVENANCE)))
def test_the_folders_of_provenance_import_one_way(place: int) -> None:
    allowed = {"grid", *PROVENANCE[: place + 1]}
    for path in (PACKAGE / "provenance" / PROVENANCE[place]).glob("*.py"):
        inside = {name.split(".")[2] for name in imports(path) if name.startswith("kinemark.provenance.")}
        assert inside <= allowed, f"{relative(path)} imports {inside - allowed}"


def test_safety_and_provenance_import_no_model_code() -> None:
    users = [
        str(relative(path))
        for path in MODULES
        if part_of(path) in {"safety", "provenance"} and any(name.split(".")[0] == "torch" for name in imports(path))
    ]
    assert not users, f"gates and marks run without torch: {users}"


def test_the_environment_is_read_only_in_settings() -> None:
    reads = [
        f"{relative(path)}:{number}"
        for path in MODULES
        if relative(path) != Path("settings.py")
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if re.search(r"\b(os\.environ|getenv|environb?)\b", line)
    ]
    assert not reads, f"read the environment in settings.py and pass Settings on: {reads}"


def test_codecs_are_called_only_at_the_codec_boundary() -> None:
    callers = [
        str(relative(path))
        for path in MODULES
        if relative(path) not in CODECS | DETECTORS
        and any(name.split(".")[0] in {"av", "cv2", "imageio"} for name in imports(path))
    ]
    assert not callers, f"call {sorted(map(str, CODECS))} instead of the codec: {callers}"
    for detector in DETECTORS:
        assert not re.search(r"cv2\.(imread|imwrite|imdecode|imencode|Video)", (PACKAGE / detector).read_text())


def test_nothing_but_release_writes_a_video_and_only_previews_are_streamed() -> None:
    for writer, place in WRITERS.items():
        users = {relative(path) for path in MODULES if any(name.split(".")[-1] == writer for name in imports(path))}
        assert users == {place}, f"a video leaves judged, marked and signed, or as a preview: {writer} in {users}"
    assert not any("encode_mp4" in name for path in MODULES for name in imports(path))


def test_modules_and_functions_stay_small() -> None:
    large = []
    for path in MODULES:
        text = path.read_text()
        lines = len(text.splitlines())
        if lines > MAX_MODULE_LINES:
            large.append(f"{relative(path)} has {lines} lines, at most {MAX_MODULE_LINES}")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > MAX_FUNCTION_LINES:
                    large.append(
                        f"{relative(path)}:{node.lineno} {node.name} has {length}, at most {MAX_FUNCTION_LINES}"
                    )
    assert not large, f"split by what they do: {large}"


def documentation() -> str:
    return "\n".join(path.read_text() for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))])


def public_names() -> list[str]:
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    exported = next(
        node.value for node in tree.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    )
    return ast.literal_eval(exported)


def verbs() -> list[str]:
    from kinemark.cli.app import app

    return [command.name for command in app.registered_commands if command.name]


@pytest.mark.parametrize("name", public_names())
def test_public_names_are_documented(name: str) -> None:
    assert re.search(rf"\b{name}\b", documentation()), f"kinemark.{name} stands in neither README.md nor docs/"


@pytest.mark.parametrize("verb", verbs())
def test_verbs_are_documented(verb: str) -> None:
    assert f"kinemark {verb}" in documentation(), f"`kinemark {verb}` stands in neither README.md nor docs/"


def test_http_routes_are_documented() -> None:
    from kinemark.server.resolution import resolution_app

    paths = {route.path for route in resolution_app().routes}
    assert len(paths) > 5
    missing = [
        path for path in sorted(paths) if f"{path}`" not in documentation() and f"{path}`," not in documentation()
    ]
    assert missing == [], f"routes that stand in neither README.md nor docs/: {missing}"


def test_verbs_have_few_flags() -> None:
    from kinemark.cli.app import app

    for command in app.registered_commands:
        assert command.callback is not None
        arguments = command.callback.__annotations__.items()
        flags = [name for name, kind in arguments if name != "return" and "Argument" not in str(kind)]
        assert len(flags) <= 13, f"{command.name} has {len(flags)} flags; at most 13: {flags}"


@pytest.mark.parametrize("command", ["import kinemark", "import kinemark.cli.app"])
def test_importing_is_cheap(command: str) -> None:
    heavy = ("torch", "numpy", "pydantic", "rich", "av", "c2pa")
    code = f"import sys; {command}; print([name for name in {heavy} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]", (
        f"`{command}` imports {result.stdout.strip()}; import them where they are used"
    )


def test_every_package_says_what_it_is() -> None:
    silent = [str(relative(path)) for path in MODULES if not ast.get_docstring(ast.parse(path.read_text()))]
    assert not silent, f"a module begins by saying what it is for: {silent}"
