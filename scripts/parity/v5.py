"""Transformers 5.17 in processes of its own, where its folder shadows 4.37.2."""

import atexit
import json
import os
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / ".venv-reference" / "v5"


def available():
    """Whether `scripts/reference_env.sh --v5` was run."""
    return (FOLDER / "transformers").is_dir()


class Worker:
    """A module that answers one JSON object a line (`serve`); started when first asked."""

    def __init__(self, module):
        self.module = module
        self.process = None

    def ask(self, request):
        """Raises RuntimeError with the child's words unless it succeeded."""
        if self.process is None or self.process.poll() is not None:
            self._start()
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        answer = json.loads(line) if line else {"ok": False, "error": "the process ended"}
        if not answer["ok"]:
            raise RuntimeError(f"Transformers 5.17: {answer['error']}")
        return answer

    def _start(self):
        paths = [str(FOLDER), str(Path(__file__).resolve().parents[1])]
        environment = dict(os.environ, PYTHONPATH=os.pathsep.join(paths), HF_HUB_OFFLINE="1")
        self.process = subprocess.Popen([sys.executable, "-m", self.module],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True, env=environment)
        atexit.register(self.process.kill)
        versions = json.loads(self.process.stdout.readline())
        if versions["transformers"] != "5.17.0":
            raise RuntimeError(f"expected transformers 5.17.0, got {versions['transformers']}")


def serve(answer_to):
    """The child's side: says its versions, then answers requests until standard input ends."""
    import torch
    import transformers

    torch.set_num_threads(1)
    print(json.dumps({"transformers": transformers.__version__, "torch": torch.__version__}),
          flush=True)
    for line in sys.stdin:
        try:
            answer = {"ok": True, **(answer_to(json.loads(line)) or {})}
        except Exception as error:  # told to the caller, who knows the case
            answer = {"ok": False, "error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)
