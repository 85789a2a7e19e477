"""Which sources a result belongs to: the commit, and a digest that needs no git.

usage: python3 -m gpu.sources --write FILE      (scripts/gpu_bundle.sh)
"""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUNDLE = ROOT / ".gpu-deps"
FOLDERS = ("apps", "cmake", "lib", "scripts", "test")
FILES = ("CMakeLists.txt", "CMakePresets.json")
IGNORED = {"__pycache__"}


def digest():
    """Of all that is built or run."""
    paths = [ROOT / name for name in FILES]
    for folder in FOLDERS:
        paths += [path for path in (ROOT / folder).rglob("*")
                  if path.is_file() and not IGNORED & set(path.parts)]
    whole = hashlib.sha256()
    for path in sorted(paths):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        whole.update(f"{path.relative_to(ROOT)} {content}\n".encode())
    return whole.hexdigest()


def git(*arguments):
    """Output of git, or None where there is no repository."""
    try:
        done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True,
                              check=False)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def from_git():
    commit = git("rev-parse", "HEAD")
    if commit is None:
        return None
    return {"commit": commit, "modified": bool(git("status", "--porcelain")), "digest": digest()}


def describe():
    """{commit, modified, digest}. Without a repository the commit is what the bundle says, if its
    sources are these."""
    found = from_git()
    if found:
        return found
    current = digest()
    try:
        noted = json.loads((BUNDLE / "source.json").read_text())
    except (OSError, ValueError):
        return {"commit": None, "modified": None, "digest": current}
    changed = noted["digest"] != current
    return {"commit": noted["commit"], "modified": noted["modified"] or changed, "digest": current}


def main():
    if len(sys.argv) != 3 or sys.argv[1] != "--write":
        raise SystemExit(__doc__)
    noted = from_git() or {"commit": None, "modified": None, "digest": digest()}
    Path(sys.argv[2]).write_text(json.dumps(noted) + "\n")


if __name__ == "__main__":
    main()
