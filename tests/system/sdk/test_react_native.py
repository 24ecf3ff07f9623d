"""Run the React Native module's own tests, and hold what JavaScript, Kotlin and Objective-C say of one another to React Native's own files."""

import json
import re
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from scripts.sdk import ROOT, TOOLS, SdkError, android, platform, react_native
from scripts.sdk.package import semantic_version
from scripts.sdk.react_native import REACT_NATIVE, SOURCES
from tests.conftest import Once
from tests.machine import patience

KOTLIN = SOURCES / "android" / "src" / "main" / "kotlin"
OBJECTIVE_C = SOURCES / "ios" / "RCTWatchword.mm"
SPECIFICATION = SOURCES / "src" / "NativeWatchword.ts"
SECRET_WORDS = re.compile(
    r"token|jwk|\bkey\b|keys\b|proof|signature|nonce|credential", re.IGNORECASE
)
"""What may cross the bridge in no direction; the name of no member and no method has it."""


OURS = {"JavaOnlyMap.from"}
"""What a test makes a stub by; React Native's own has it in another form."""


@pytest.fixture(scope="module", autouse=True)
def installed() -> None:
    """Install what the lock file names; without npm everything here fails, and says what to do."""
    try:
        react_native.install()
    except SdkError as error:
        pytest.fail(str(error), pytrace=False)


def _passes(*command: str) -> str:
    try:
        return react_native.npx(*command, seconds=patience(300))
    except SdkError as error:
        pytest.fail(str(error), pytrace=False)


def test_typescript_is_strictly_clean() -> None:
    """Sources, tests and the mocks, by the compiler that the lock file names."""
    _passes("tsc", "--noEmit")
    said = json.loads((SOURCES / "tsconfig.json").read_text(encoding="utf-8"))["compilerOptions"]
    assert said["strict"] is True


def test_vitest(tmp_path: Path) -> None:
    """Every test of the TypeScript passes, and none is left out."""
    report = tmp_path / "report.json"
    _passes("vitest", "run", "--reporter=json", f"--outputFile={report}")
    told = json.loads(report.read_text(encoding="utf-8"))
    cases = [case for file in told["testResults"] for case in file["assertionResults"]]
    assert len(cases) >= 30
    assert {case["status"] for case in cases} == {"passed"}


def test_codegen_makes_what_kotlin_is_compiled_against(tmp_path: Path) -> None:
    """The Java interface among the stubs is codegen's own, byte for byte below what stands before its package."""
    name = "dev/watchword/reactnative/NativeWatchwordSpec.java"
    made = (react_native.generated(tmp_path) / "java" / name).read_bytes()
    kept = (SOURCES / "android/stubs/src/main/java" / name).read_bytes()
    package = b"\npackage dev.watchword.reactnative;\n"
    assert kept.count(package) == made.count(package) == 1
    assert kept.partition(package)[2] == made.partition(package)[2]


def test_objective_c_has_each_method_of_its_protocol(tmp_path: Path) -> None:
    """By selector and types, as codegen declares them; nothing can compile it here."""
    header = (react_native.generated(tmp_path) / "WatchwordSpec/WatchwordSpec.h").read_text("utf-8")
    protocol = header.split("@protocol NativeWatchwordSpec", 1)[1].split("@end", 1)[0]
    wanted = _methods(protocol)
    written = OBJECTIVE_C.read_text(encoding="utf-8")
    assert len(wanted) == 8
    assert wanted - _methods(written) == set()
    assert "(void)emitOnError:" in header
    assert "emitOnError:" in written
    for name in re.findall(r"^ +NSString \*(\w+)\(\) const;", header, re.MULTILINE):
        assert re.search(rf"\b{name}\(\)", written), name


def _methods(text: str) -> set[str]:
    flat = re.sub(r"\s+", " ", text)
    found = re.findall(r"- \((?:void|NSString \*|NSNumber \*)\)[^;{]+(?=[;{])", flat)
    return {re.sub(r"\s", "", each).replace("_Nullable", "") for each in found}


def test_objective_c_calls_what_swift_has() -> None:
    """Each call of the door to Swift exists, with these labels; nothing can compile it here."""
    door = (SOURCES / "ios/Sources/WatchwordReactNative/Door.swift").read_text(encoding="utf-8")
    offered = set(re.findall(r"@objc public static func (\w+)", door))
    called = set(re.findall(r"\[WWReactNative (\w+)", OBJECTIVE_C.read_text(encoding="utf-8")))
    assert called == offered
    assert "@objc(WWReactNative)" in door


def test_stubs_are_as_react_native() -> None:
    """Each class and each method of the stubs is in React Native's own sources, by name and number of parameters."""
    stubs = SOURCES / "android/stubs/src/main/java/com/facebook"
    files = sorted(each for each in stubs.rglob("*.java") if "proguard" not in each.parts)
    assert len(files) >= 18
    wrong = [f"{file.name}: {each}" for file in files for each in _missing(file)]
    assert wrong == []


def _missing(stub: Path) -> Iterator[str]:
    inside = "com/facebook" / stub.relative_to(SOURCES / "android/stubs/src/main/java/com/facebook")
    real = REACT_NATIVE / "ReactAndroid/src/main/java" / inside
    file = next((each for each in (real, real.with_suffix(".kt")) if each.is_file()), None)
    if file is None:
        yield "no such class"
        return
    text = _uncommented(file.read_text(encoding="utf-8"))
    declared = _uncommented(stub.read_text(encoding="utf-8"))
    is_interface = re.search(r"public (?:@)?interface", declared) is not None
    visible = r" {4}" if is_interface else r" {4}(?:public|protected) "
    form = rf"^{visible}(?:static |final |abstract )*[\w<>., ]+? (\w+)\(([^)]*)\)"
    for name, parameters in re.findall(form, declared, re.MULTILINE):
        count = len([each for each in parameters.split(",") if each.strip()])
        if count not in set(_arities(text, name)) and f"{stub.stem}.{name}" not in OURS:
            yield f"{name}/{count}"


def _uncommented(text: str) -> str:
    return re.sub(r"/\*.*?\*/|//[^\n]*", "", text, flags=re.DOTALL)


def _arities(text: str, name: str) -> Iterator[int]:
    """Return with how many parameters a method is declared, in Kotlin or Java, also as the property that Java sees as a getter."""
    bare = re.sub(r"@\w+(?:\([^)]*\))?\s*", "", text)
    for found in re.finditer(rf"\b{name}\s*\(([^()]*(?:\([^()]*\)[^()]*)*)\)", bare):
        inner = re.sub(r"<[^<>]*>", "", found[1])
        yield len([each for each in inner.split(",") if each.strip()])
    if re.search(rf'get:JvmName\("{name}"\)|va[lr] {name}\b', text):
        yield 0


def test_only_public_calls_of_react_native_are_made() -> None:
    """What the compiled module asks of React Native is what stands in the stubs: they compile together, and nothing is reflected."""
    asked = platform.references(android.Build().compiled("react-native"))
    assert {each.owner for each in asked if each.owner.startswith("com.facebook.")}
    code = "\n".join(each.read_text(encoding="utf-8") for each in KOTLIN.rglob("*.kt"))
    assert "Class.forName" not in code
    assert "setAccessible" not in code


def test_ios_does_what_react_native_would(installed: None) -> None:
    """The session's configuration is React Native's own, line for line, but for the interception: a newer one may set more."""
    told = (REACT_NATIVE / "Libraries/Network/RCTHTTPRequestHandler.mm").read_text(encoding="utf-8")
    own = told.split("configuration = [NSURLSessionConfiguration defaultSessionConfiguration];")[1]
    own = own.split("assert(configuration")[0]
    set_there = set(re.findall(r"\[configuration set(\w+):|configuration\.(\w+) =", own))
    written = OBJECTIVE_C.read_text(encoding="utf-8")
    for setter, assigned in set_there:
        name = setter or assigned
        assert f"configuration.{name} =" in written, name
    assert len(set_there) == 4


def test_no_token_and_no_key_crosses_the_bridge() -> None:
    """Neither the specification nor what native code writes has a place for one."""
    text = re.sub(r"/\*\*?.*?\*/", "", SPECIFICATION.read_text(encoding="utf-8"), flags=re.DOTALL)
    names = re.findall(r"^\s+(?:readonly )?(\w+)\??[:(]", text, re.MULTILINE)
    assert len(names) >= 30
    assert [name for name in names if SECRET_WORDS.search(name)] == []
    for file in (*KOTLIN.rglob("*.kt"), *(SOURCES / "ios/Sources").rglob("*.swift")):
        code = re.sub(
            r"///?[^\n]*|/\*.*?\*/", "", file.read_text(encoding="utf-8"), flags=re.DOTALL
        )
        assert not re.search(
            r"\.token\(|\.sign\(|\.headers\b|WireHeaders|allHTTPHeaderFields", code
        ), file
        written = re.findall(r"put\w+\(\"(\w+)\"|\[\"(\w+)\"\] =", code)
        assert [name for pair in written for name in pair if SECRET_WORDS.search(name)] == []


def test_package_has_what_ships_and_its_bytes_are_the_same_twice(tmp_path: Path) -> None:
    """No tests, no stubs, no tool; in step with the other SDKs."""
    (first,) = react_native.package(tmp_path / "a")
    (second,) = react_native.package(tmp_path / "b")
    assert first.read_bytes() == second.read_bytes()
    assert first.name == f"watchword-react-native-{semantic_version()}.tgz"
    with tarfile.open(first) as archive:
        names = {each.removeprefix("package/") for each in archive.getnames()}
        said = json.loads(_text(archive, "package/package.json"))
        code = [_text(archive, f"package/{each}") for each in names if each.endswith(".ts")]
    assert {
        "LICENSE",
        "README.md",
        "lib/index.js",
        "src/NativeWatchword.ts",
        "ios/RCTWatchword.mm",
    } < names
    assert {"WatchwordReactNative.podspec", "app.plugin.js", "android/build.gradle"} < names
    assert [
        each
        for each in names
        if re.search(r"[tT]est[s/R]|stubs|node_modules|\.lock|Package\.swift", each)
    ] == []
    assert set(said) & {"scripts", "devDependencies", "dependencies"} == set()
    assert not any(
        "http://127" in each and "example" not in each for each in code if "Lab" not in each
    )
    for target in _targets(said["exports"]):
        assert target.removeprefix("./") in names, target


def _text(archive: tarfile.TarFile, name: str) -> str:
    file = archive.extractfile(name)
    assert file is not None
    return file.read().decode()


def _targets(exported: Any) -> Iterator[str]:
    if isinstance(exported, str):
        yield exported
    else:
        for each in exported.values():
            yield from _targets(each)


def test_lock_names_each_package_by_its_hash_and_no_address() -> None:
    """As ``npm ci --ignore-scripts`` installs them, from wherever the client is told to."""
    lock = json.loads((SOURCES / "package-lock.json").read_text(encoding="utf-8"))
    packages = {name: each for name, each in lock["packages"].items() if name}
    assert len(packages) > 200
    assert [name for name, each in packages.items() if "integrity" not in each] == []
    assert [name for name, each in packages.items() if "resolved" in each] == []
    said = react_native.manifest()
    assert lock["version"] == said["version"] == semantic_version()
    assert all(re.fullmatch(r"[\d.]+", each) for each in said["devDependencies"].values())


def test_kotlin_has_the_usual_form() -> None:
    """By ktlint's standard rules, as the Android SDK."""
    done = subprocess.run(
        [
            "java",
            "-jar",
            str(TOOLS / "ktlint" / "ktlint"),
            "--relative",
            "sdk/react-native/android/**/*.kt",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=patience(120),
    )
    assert done.returncode == 0, done.stdout


_RUNNER = """\
import { afterEach, expect, test, vi } from 'vitest';
import { simulation } from '@watchword/react-native/vitest';

vi.mock('@watchword/react-native', () => import('@watchword/react-native/vitest'));
afterEach(() => vi.unstubAllGlobals());

test('the first call', async () => {
  const asked: unknown[] = [];
  vi.stubGlobal('fetch', async (url: unknown) => (asked.push(url), new Response('["ada"]')));
  const page = await import('./block0.js');
  expect(await page.patients()).toEqual(['ada']);
  expect(asked).toEqual(['https://api.clinic.example/patients']);
  expect(simulation.configured).toMatchObject({ service: 'https://attest.clinic.example', app: 'clinic-android' });
  for (const [status, body, ref] of [[403, '{"ref": "r-2"}', 'r-2'], [502, 'down', undefined], [500, 'null', undefined]] as const) {
    vi.stubGlobal('fetch', async () => new Response(body, { status }));
    await expect(page.patients()).rejects.toMatchObject({ message: `HTTP ${status}`, ref });
  }
});

test('errors', async () => {
  const warn = vi.spyOn(console, 'warn').mockImplementation(() => undefined);
  const page = await import('./block1.js');
  simulation.fail({ code: 'evidence-refused', ref: 'r-1' });
  simulation.fail({ code: 'service-unavailable' });
  page.end();
  simulation.fail({ code: 'service-unavailable' });
  expect(warn.mock.calls.map(([said]) => said)).toEqual([expect.stringContaining('r-1'), 'Try again later.']);
});

test('more', async () => {
  simulation.reset();
  const page = await import('./block2.js');
  expect(simulation.configured?.apis[0]?.device).toEqual(['/login', '/payments/**']);
  page.onLogin('access');
  expect(simulation.bound).toBe('Bearer access');
  page.onLogout();
  expect(simulation.bound).toBe(null);
  simulation.secrets['push'] = 'key';
  let seen = '';
  let kept: Uint8Array = new Uint8Array(1);
  await page.registerForPush(async (key) => void ([seen, kept] = [String.fromCharCode(...key), key]));
  expect([seen, ...kept]).toEqual(['key', 0, 0, 0]);
  expect(await page.tryAgain()).toBe('hardware');
});

test('a lab phone', async () => {
  simulation.reset();
  await import('./lab0.js');
  expect(simulation.configured?.lab).toEqual({ attester: 'http://127.0.0.1:8450', kind: 'genuine-android', device: 'react-native' });
});

test('from App Check', async () => {
  simulation.reset();
  vi.stubGlobal('fetch', async () => new Response('done'));
  const page = await import('./migrate0.js');
  expect(await (await page.patients()).text()).toBe('done');
});
"""


def test_code_of_the_pages_is_type_checked_and_runs(installed: None) -> None:
    """Against the mocks that the page shows, which is a test itself; the first call takes at most ten lines."""
    pages = {"block": "sdk-react-native", "lab": "sdk-ci", "migrate": "migrate-react-native"}
    with tempfile.TemporaryDirectory(dir=SOURCES / "tests", prefix="pages-") as made:
        place = Path(made)
        found = {}
        for name, page in pages.items():
            text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
            for number, block in enumerate(
                re.findall(r"^```ts\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
            ):
                found[f"{name}{number}"] = block
                ending = ".test.mts" if "vi.mock" in block else ".ts"
                (place / f"{name}{number}{ending}").write_text(block, encoding="utf-8")
        assert set(found) == {"block0", "block1", "block2", "block3", "lab0", "migrate0"}
        assert len([line for line in found["block0"].splitlines() if line.strip()]) <= 10
        (place / "runner.test.mts").write_text(_RUNNER, encoding="utf-8")
        said = {
            "extends": "../../tsconfig.json",
            "compilerOptions": {
                "noEmit": True,
                "paths": {
                    "@watchword/react-native": ["../../src/index.ts"],
                    "@watchword/react-native/vitest": ["../../src/vitest.mts"],
                },
            },
            "include": ["."],
            "exclude": [],
        }
        (place / "tsconfig.json").write_text(json.dumps(said), encoding="utf-8")
        _passes("tsc", "-p", str(place))
        report = place / "report.json"
        _passes("vitest", "run", "--dir", str(place), "--reporter=json", f"--outputFile={report}")
        told = json.loads(report.read_text(encoding="utf-8"))
    assert told["success"]
    assert told["numPassedTests"] == 6


CASES = [
    (name, test)
    for name in ("react-native", "react-native-release")
    for test in android.junit_classes(name)
]


@pytest.mark.parametrize("case", CASES, ids=" ".join)
def test_junit(case: tuple[str, str], once: Once) -> None:
    """The Kotlin module, against OkHttp 5 and a wire that breaks; in a debug build and in a release build."""
    module, test = case

    def told() -> str:
        try:
            outcomes = android.Build().run_junit(module, [test], "", patience(300))
        except SdkError as error:
            return str(error)
        return "\n\n".join(
            f"{each.test} {each.status}: {each.message}"
            for each in outcomes
            if each.status != "passed"
        )

    if words := once(f"sdk-junit-{module}-{test}", told):
        pytest.fail(words, pytrace=False)
