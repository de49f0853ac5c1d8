"""ES modules of the browser code become one script: what is taken in, in which order, and what is
refused."""

import shutil
import subprocess
from importlib import resources

import pytest

from lddm_lite.widgets import payload
from lddm_lite.widgets.es_modules import inline


def joined(**texts):
    """The script of module a.js, from the text of each module by its name without .js."""
    return inline("a.js", {f"{name}.js": text for name, text in texts.items()}.__getitem__)


def refused(match, **texts):
    with pytest.raises(ValueError, match=match):
        joined(**texts)


# -- what is taken in -------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "statement",
    [
        'import { x, y } from "./b.js";\n',
        "import { x, y } from './b.js';\n",
        'import {x,y} from "./b.js";\n',
        'import {\n  x,\n  y,\n} from "./b.js";\n',
        'import { x } from "./b.js";\nimport { y } from "./b.js";\n',
    ],
)
def test_imports_in_every_layout(statement):
    b = "const x = 1, y = 2;\n"
    assert joined(a=statement + "use(x, y);\n", b="export " + b) == b + "\nuse(x, y);\n"


@pytest.mark.parametrize(
    "declaration",
    [
        "const x = 1;",
        "const w = [1, 2], x = { y: 1, z: 2 }, $v = f(3, 4);",
        "let x;",
        "function x(y, z) { return y; }",
        "function* x() {}",
        "async function x() {}",
        "class x { y = 1; }",
        "class x extends Array {}",
    ],
)
def test_exports_before_every_declaration(declaration):
    assert joined(a='import { x } from "./b.js";\n', b=f"export {declaration}\n") == f"{declaration}\n\n"


def test_each_module_once_after_those_that_it_imports():
    script = joined(
        a='import { c } from "./c.js";\nimport { b } from "./b.js";\n// a\n',
        b='import { d } from "./d.js";\nexport const b = d; // b\n',
        c='import { b } from "./b.js";\nimport { d } from "./d.js";\nexport const c = b + d; // c\n',
        d="export const d = 1; // d\n",
        e="never asked for\n",
    )
    assert [line[-1] for line in script.splitlines() if line] == ["d", "b", "c", "a"]


def test_text_that_only_looks_like_code_stays():
    text = r"""
// import { x } from "./x.js"; export default 1
/* export *
import("y") {[( */
const a = "import('y') {", b = 'it\'s "export"', c = `export ${f(`import {`, { y: "}" })} }`;
const d = /[/"'`]\/export {/g, e = a / b / c, g = f(a) / 2, h = `/` / 3;
function f() { return /import "(/.test(a); }
const importance = { exports: 1, $import: 2 }, exporter = 3;
"""
    assert joined(a=text) == text
    assert joined(a='import { i } from "./b.js";\n', b=text + "export const i = 1;\n") == text + "const i = 1;\n\n"


def test_names_inside_functions_are_free():
    free = "const {0} = () => {{ const x = 1, y = 2; function z() {{}} class w {{}} return [x, y, z, w]; }};\n"
    assert joined(a='import { x } from "./b.js";\n' + free.format("a"), b="export const x = 1;\n" + free.format("b"))


# -- what is refused, with the file and the line --------------------------------------------------------------------
@pytest.mark.parametrize(
    "statement",
    [
        'import x from "./b.js";',
        'import * as x from "./b.js";',
        'import x, { y } from "./b.js";',
        'import "./b.js";',
        'import {} from "./b.js";',
        'import { x as y } from "./b.js";',
        'import { x } from "b";',
        'import { x } from "b.js";',
        'import { x } from "../b.js";',
        'import { x } from "./c/b.js";',
        'import { x } from "/b.js";',
        'import { x } from "https://example.org/b.js";',
        'import { x } from "./b.css";',
        'import { x } from "./b.js" with { type: "json" };',
        'import { x } from "./b.js"',
        '  import { x } from "./b.js";',
        'f(); import { x } from "./b.js";',
        'if (f) {\nimport { x } from "./b.js";\n}',
        'const x = await import("./b.js");',
        'const x = `${import("./b.js")}`;',
        "const x = import.meta.url;",
        "export default 1;",
        "export default function x() {}",
        'export * from "./b.js";',
        'export { x } from "./b.js";',
        "const x = 1;\nexport { x };",
        "export var x = 1;",
        "  export const x = 1;",
        "{\nexport const x = 1;\n}",
    ],
)
def test_every_other_import_and_export(statement):
    line = 2 + statement[: max(statement.find("import"), statement.find("export"))].count("\n")
    rule = rf'^a\.js:{line}: must be `import {{ a, b }} from "./x\.js";`'
    refused(rule, a=f"\n{statement}\n", b="export const x = 1;\n")


@pytest.mark.parametrize("declaration", ["const { x } = f;", "const [x] = f;", "let y = 1, { x } = f;"])
def test_declarations_that_take_apart(declaration):
    refused(r"^a\.js:1: must declare plain names, one or more, got (const|let) ", a=f"{declaration}\n")


def test_a_name_that_is_not_exported():
    b = "const x = 1;\nexport function y() { const z = 1; }\n"
    for name in ("x", "z", "gone"):
        refused(rf"^a\.js:2: b\.js does not export {name}$", a=f'// a\nimport {{ y, {name} }} from "./b.js";\n', b=b)


def test_a_module_that_is_not_there():
    refused(r"^a\.js:3: there is no b\.js$", a='\n\nimport { x } from "./b.js";\n')
    with pytest.raises(ValueError, match="there is no no_such_widget.js"):
        payload.bundle("no-such-widget")


def test_circles():
    imports = 'import {{ x }} from "./{}.js";\nexport const x = 1;\n'.format
    refused(r"^a\.js:1: modules import each other in a circle, a\.js > a\.js$", a=imports("a"))
    refused(
        r"^c\.js:1: modules import each other in a circle, a\.js > b\.js > c\.js > b\.js$",
        a=imports("b"),
        b=imports("c"),
        c=imports("b"),
    )


@pytest.mark.parametrize("first", ["const x = 1;", "let y, x;", "var x;", "function x() {}", "class x {}"])
@pytest.mark.parametrize("second", ["const x = 1;", "async function x() {}"])
def test_a_name_that_two_modules_declare(first, second):
    a = 'import { b } from "./b.js";\n' + f"\n{first}\n"
    refused(r"^a\.js:3: b\.js declares x too; rename one$", a=a, b=f"export const b = 1;\n{second}\n")
    refused(r"^a\.js:2: x is declared twice", a=f"{first}\n{second}\n")


@pytest.mark.parametrize("text", ["`a", "'a\n'", '"a', "/* a", "const x = /a", "`${a}"])
def test_text_without_an_end(text):
    refused(r"^a\.js:2: never ends, got ", a=f"\n{text}")


# -- the widgets' own -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", ["scrubber", "path-explorer", "latent-explorer"])
def test_the_code_of_a_widget(kind, tmp_path):
    script = payload.bundle(kind)
    static = resources.files("lddm_lite.widgets").joinpath("static")
    own = static.joinpath(f"{kind.replace('-', '_')}.css").read_text("utf-8")
    assert script.startswith('const CSS = "') or "\nconst CSS = " in script
    for text in (own, static.joinpath("style.css").read_text("utf-8")):
        assert text.splitlines()[0] in script
    for name in ("async function startHtml(", "function initialize(", "async function render("):
        assert script.count(f"\n{name}") == 1, "what the page and anywidget call"
    assert f'register("{kind}", ' in script and "</script" not in script and "--start--" not in script
    if node := shutil.which("node"):
        file = tmp_path / "widget.mjs"
        file.write_text(script, "utf-8")
        assert subprocess.run([node, "--check", file], capture_output=True, text=True).stderr == ""
