"""What the tests of installed and packaged files share."""

import os
import pathlib
import re
import subprocess

# Where a Debian system keeps its own libraries.
SYSTEM_FOLDERS = ("/lib/", "/lib64/", "/usr/lib/", "/usr/lib64/")


def run(*command, **options):
    """Output of a command, both streams together; an AssertionError with it if it fails."""
    command = [str(word) for word in command]
    result = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True, errors="replace", check=False,
                            **options)
    if result.returncode != 0:
        raise AssertionError(f"{' '.join(command)}\nended with {result.returncode}:\n"
                             f"{result.stdout}")
    return result.stdout


def bare_environment(**variables):
    """Nothing that could lead to a library: what a fresh login on another machine has."""
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", **variables}


def shared_files(root):
    """Programs and shared libraries under a folder, links left out."""
    for path in sorted(pathlib.Path(root).rglob("*")):
        if path.is_symlink() or not path.is_file():
            continue
        with path.open("rb") as file:
            header = file.read(18)
        if header[:4] == b"\x7fELF" and header[16] in (2, 3):  # ET_EXEC, ET_DYN
            yield path


def run_paths(path):
    """The RPATH and RUNPATH of a file, folder by folder."""
    output = run("readelf", "--dynamic", path)
    found = re.findall(r"\((?:RPATH|RUNPATH)\)[^\[]*\[([^\]]*)\]", output)
    return [folder for entry in found for folder in entry.split(":")]


def loaded_libraries(command, **options):
    """Real paths of all that a command loads, libraries opened at run time included."""
    environment = bare_environment(LD_DEBUG="libs", **options.pop("env", {}))
    output = run(*command, env=environment, **options)
    paths = re.findall(r"calling init: (/\S+)", output)
    return sorted({os.path.realpath(path) for path in paths})


def texts_naming(root, places):
    """Text files under `root` that name one of `places`, as (file, place)."""
    for path in sorted(pathlib.Path(root).rglob("*")):
        if path.is_symlink() or not path.is_file():
            continue
        content = path.read_bytes()
        if b"\0" in content[:4096]:
            continue
        for place in places:
            if os.fsencode(place) in content:
                yield path, place
