"""Build the example's app as an IPA: with the provider's key in it, as many apps ship, or with none."""

import argparse
import json
import plistlib
import zipfile
from pathlib import Path

URL = {True: "https://assistant.example.net/v1", False: "https://api.clinic.example/assistant/v1"}
"""Whom the app asks: the third party itself, or its own backend."""


def main() -> None:
    """Write the file that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("app", type=Path, help="the file to write, such as clinic-1.0.ipa")
    parser.add_argument(
        "--with-key", type=Path, help="put the first line of this file into the app"
    )
    given = parser.parse_args()
    plist = {
        "CFBundleIdentifier": "com.example.clinic",
        "CFBundleName": "Clinic",
        "CFBundleShortVersionString": given.app.stem.rpartition("-")[2],
        "CFBundleVersion": given.app.stem.rpartition("-")[2],
        "MinimumOSVersion": "16.0",
    }
    config = {"assistant_url": URL[given.with_key is not None]}
    if given.with_key is not None:
        keys = given.with_key.read_text().split()
        if not keys:
            parser.error(f"{given.with_key} is empty")
        config["assistant_key"] = keys[0]
    with zipfile.ZipFile(given.app, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("Payload/Clinic.app/Info.plist", plistlib.dumps(plist))
        archive.writestr("Payload/Clinic.app/config.json", json.dumps(config))


if __name__ == "__main__":
    main()
