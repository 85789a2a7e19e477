"""Child of v5.py: runs a case on Transformers 5.17.

A request {"case", "options", "inputs", "outputs", "runs"} reads the tensors of the file "inputs"
and writes those of each run ("ref32", "ref64", "native64", "exact64" or a half type) to the folder
"outputs". The runs are those of reference.Reference, which does not care for the version.
"""

import warnings
from pathlib import Path

warnings.filterwarnings("ignore")


def answer(request):
    import torch
    from safetensors.torch import load_file, save_file

    from parity import reference
    from parity.case import Case, Options

    case = Case(**request["case"], options=Options(**request["options"]))
    case.folder = Path(case.folder)
    case.inputs = load_file(request["inputs"])
    # Files of half types are loaded as such unless a type is given; attention as 4.37.2 writes it,
    # so that its maps can be returned.
    runs = reference.Reference(case, dtype=torch.float32, attn_implementation="eager")
    named = {"ref32": lambda: runs.ref32, "ref64": lambda: runs.ref64,
             "native64": runs.native64, "exact64": runs.exact64}
    for name in request["runs"]:
        tensors = named[name]() if name in named else runs.half(name)
        save_file({key: tensor.clone() for key, tensor in tensors.items()},
                  Path(request["outputs"]) / f"{name}.safetensors")


if __name__ == "__main__":
    from parity.v5 import serve

    serve(answer)
