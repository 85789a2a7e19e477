"""The reference of a case: Transformers 4.37.2, or 5.17 where the case asks for what came later."""

import tempfile
from pathlib import Path

from safetensors.torch import load_file, save_file

from parity import reference, v5

_worker = v5.Worker("parity.v5_model")


def reference_of(case):
    """Positions of DINOv2 and Perceiver resized by 5.x's rules are compared with 5.17 itself if it
    is there, else with 4.37.2 that is taught them (reference.interpolation_by_size,
    components.resized_positions)."""
    later = reference.interpolates_by_size(case.options.model_args) \
        or reference.needs_resized_positions(case)
    if later and v5.available():
        return V5Reference(case)
    return reference.Reference(case)


class V5Reference:
    """As reference.Reference, run by 5.17 in a process of its own."""

    def __init__(self, case):
        self.case = case
        runs = self._run("ref32", "ref64", "native64", "exact64")
        self.ref32, self.ref64, self._native64, self._exact64 = runs

    def native64(self):
        return self._native64

    def exact64(self):
        return self._exact64

    def half(self, dtype):
        return self._run(dtype)[0]

    def _run(self, *names):
        case = self.case
        with tempfile.TemporaryDirectory(prefix="vizoo-parity-v5-") as folder:
            inputs = Path(folder) / "inputs.safetensors"
            save_file({name: tensor.contiguous() for name, tensor in case.inputs.items()}, inputs)
            _worker.ask({
                "case": {"family": case.family, "seed": case.seed, "index": case.index,
                         "class_name": case.class_name, "undefined": list(case.undefined),
                         "folder": str(case.folder)},
                "options": vars(case.options),
                "inputs": str(inputs), "outputs": folder, "runs": names})
            return [load_file(Path(folder) / f"{name}.safetensors") for name in names]
