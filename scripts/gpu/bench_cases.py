"""What the part bench runs, the most telling first: a run that is cut short has those."""

from dataclasses import asdict, dataclass

from gpu.attention import DETECTION, DRY, DTYPES, STAGES, Shape
from gpu.peers import KERNELS, Composition, DenseMasked, Flex, FlexByGroups, Unfused

PASSES = ("forward", "backward")
ALL_PEERS = tuple(peer.name for peer in (Composition, Unfused, DenseMasked, Flex, FlexByGroups))
COMPILED = (Flex.name, FlexByGroups.name)


@dataclass(frozen=True)
class BenchCase:
    shape: Shape
    dtype: str
    with_rpb: bool
    peers: tuple
    kernels: tuple = KERNELS

    @property
    def name(self):
        return f"{self.shape.name} {self.dtype} {'with' if self.with_rpb else 'without'} bias"

    @property
    def candidates(self):
        half = self.dtype != "float32"
        kernels = [name for name in self.kernels
                   if name in ("general", "default") or half and
                   (name != "dense_group" or self.shape.is_dense)]
        return (*kernels, *self.peers)

    def as_json(self):
        return {"name": self.name, **asdict(self), "candidates": list(self.candidates)}


def from_json(row):
    return BenchCase(Shape(**row["shape"]), row["dtype"], row["with_rpb"], tuple(row["peers"]),
                     tuple(row["kernels"]))


def bench_cases(device):
    if device == "cpu":
        return [BenchCase(DRY[0], "float32", False, ALL_PEERS, ("default",)),
                BenchCase(DRY[1], "bfloat16", True, ALL_PEERS, ("default",))]
    cases = [BenchCase(shape, "bfloat16", True, ALL_PEERS) for shape in (*STAGES, *DETECTION)]
    cases += [BenchCase(shape, "float32", True, ALL_PEERS) for shape in STAGES[:2]]
    cases += [BenchCase(shape, "float16", True, ALL_PEERS) for shape in STAGES[:2]]
    cases += [BenchCase(shape, "bfloat16", False, ALL_PEERS)
              for shape in (*STAGES[:2], DETECTION[0])]
    # Every other combination: our kernels alone.
    known = {case.name for case in cases}
    for with_rpb in (True, False):
        for dtype in DTYPES:
            for shape in (*STAGES, *DETECTION):
                case = BenchCase(shape, dtype, with_rpb, ())
                if case.name not in known:
                    cases.append(case)
    return cases
