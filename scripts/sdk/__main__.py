"""Fetch the tools of the phones' SDKs (``tools``, ``dex``), or build, test (``android``) and package the Android SDK."""

import argparse
import sys
from collections.abc import Sequence

from scripts.sdk import ROOT, SdkError, android, apk, package, tools


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what is asked, or say in one sentence why not and return 1."""
    parser = argparse.ArgumentParser(prog="python -m scripts.sdk", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("tools", help="fetch what the SDKs are built with into .sdk/")
    commands.add_parser("dex", help="fetch the optional dexer and shrinker into .sdk/")
    built = commands.add_parser("android", help="compile the Android SDK and run its tests")
    built.add_argument("--module", action="append", help="this module alone (again for more)")
    built.add_argument(
        "--test", action="append", help="test classes of this name alone, without package"
    )
    commands.add_parser("package", help="write the Android SDK's artifacts as a Maven repository")
    chosen = parser.parse_args(arguments)
    try:
        if chosen.command == "android":
            return _android(chosen.module, chosen.test)
        if chosen.command == "package":
            return _package()
        done = tools.install() if chosen.command == "tools" else tools.install_dex()
    except SdkError as error:
        print(f"sdk: {error}", file=sys.stderr)
        return 1
    print("\n".join(f"fetched {each}" for each in done) or "everything is there")
    return 0


def _package() -> int:
    """Write the artifacts, and the sample app where what dexes it is there."""
    build = android.Build()
    files = package.package(build)
    if tools.DEX.is_file():
        files.append(apk.sample(build, android.OUT / "app"))
    for file in files:
        print(f"{file.stat().st_size:>9,} bytes  {file.relative_to(ROOT)}")
    if not tools.DEX.is_file():
        print("no sample app: make sdk-dex fetches what it is dexed with")
    return 0


def _android(names: Sequence[str] | None, wanted: Sequence[str] | None) -> int:
    """Compile modules and run their tests; return 1 where one failed."""
    build, failures = android.Build(), 0
    for name in names or android.modules():
        if name not in android.modules():
            raise SdkError(f"got {name}, expected a module: {', '.join(android.modules())}")
        module = android.modules()[name]
        classes = [
            each
            for each in android.junit_classes(name)
            if not wanted or each.rpartition(".")[2] in wanted
        ]
        for variant in module.variants:
            build.compiled(name, variant)
            outcomes = build.run_junit(name, classes, variant) if classes else []
            for each in outcomes:
                if each.status != "passed":
                    print(f"{each.status}: {each.test}\n{each.message}".rstrip())
            bad = sum(each.status == "failed" for each in outcomes)
            failures += bad
            print(f"{module.label(variant)}: {len(outcomes)} tests, {bad} of them failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
