"""Compares what vizoo reads from pytorch_model.bin with torch.load, and `vizoo convert` with both.

Each case saves the weights of a small random model by torch.save, in one of the ways that people do,
and beside it a state dict of random tensors that no model has: any dtype, strides, shared memory.
What torch.load(weights_only=True) returns is the truth, bit for bit.
"""

import json
import shutil
from collections import OrderedDict

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from parity.case import Case
from parity.commands import run_command_case
from parity.door import Program, ProgramError, run_program
from parity.families import FAMILIES

DTYPES = {"float32": torch.float32, "float64": torch.float64, "bfloat16": torch.bfloat16,
          "float16": torch.float16}
RANDOM_DTYPES = (*DTYPES.values(), torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8,
                 torch.bool, torch.complex64, torch.uint16, torch.uint32, torch.uint64,
                 torch.float8_e4m3fn, torch.float8_e5m2)
WAYS = ("plain", "save_pretrained", "shards", "parameters", "nested", "transposed", "one_storage",
        "padded_rows")
OUTER_NAMES = ("state_dict", "model", "model_state_dict", "module", "teacher")


def make_checkpoint_tasks(options, families, program):
    indices = range(options.cases) if options.case is None else [options.case]
    return [{"seed": options.seed, "index": index, "program": str(program),
             "families": [family.name for family in families],
             "keep": options.keep or options.case is not None} for index in indices]


def run_checkpoint_case(task):
    def compare(rng, program, folder, record):
        compare_model(rng, program, folder, record, task)
        compare_state(rng, program, folder, record)
        if task["index"] % 50 == 0:  # the same each time
            check_refusals(program, folder, record)

    return run_command_case(task, "checkpoint", "--checkpoints", compare)


def differences(expected, got, what):
    """Names, dtypes, shapes and every bit."""
    lines = [f"{what}: {name} missing" for name in expected.keys() - got.keys()]
    lines += [f"{what}: {name} too many" for name in got.keys() - expected.keys()]
    for name in expected.keys() & got.keys():
        left, right = expected[name].detach(), got[name]
        if left.dtype != right.dtype or left.shape != right.shape:
            lines.append(f"{what}: {name}: expected {left.dtype} {list(left.shape)}, "
                         f"got {right.dtype} {list(right.shape)}")
        elif bits(left) != bits(right):
            lines.append(f"{what}: {name}: other values")
    return sorted(lines)


def bits(tensor):
    flat = torch.empty(tensor.numel(), dtype=tensor.dtype)  # contiguous() leaves strides of size 1
    flat.view(tensor.shape).copy_(tensor)
    return flat.view(torch.uint8).numpy().tobytes()


def compare_model(rng, program, folder, record, task):
    """A model's weights as .bin and as safetensors: the same outputs, the same tensors."""
    family = FAMILIES[task["families"][task["index"] % len(task["families"])]]
    case = Case(family.name, task["seed"], task["index"], rng.choice(family.classes))
    generator = torch.Generator().manual_seed(rng.getrandbits(48))
    torch.manual_seed(rng.getrandbits(48))
    model = family.random_case(case, rng, generator)
    case.options.gradients, case.options.train_mode = None, False
    case.inputs.pop("cotangent", None)
    dtype = rng.choice(("float32", "float32", "bfloat16", "float16"))
    model = model.to(DTYPES[dtype])
    way = WAYS[task["index"] % len(WAYS)]
    record.update({"class": case.class_name, "save": {"way": way, "dtype": dtype}})

    case.folder = folder / "safetensors"
    model.save_pretrained(case.folder, safe_serialization=True)
    pickled = folder / "bin"
    pickled.mkdir()
    for path in case.folder.iterdir():
        if path.suffix != ".safetensors":
            shutil.copy(path, pickled)
    save(model, way, pickled, rng)

    door = Program(program)
    outputs = []
    for source in (folder / "safetensors", pickled):
        case.folder = source
        work = folder / f"forward-{source.name}"
        work.mkdir()
        outputs.append(door.forward(case, work))
    record["tensors"] += len(outputs[0])
    record["differences"] += differences(*outputs, "vizoo forward")

    truth = load_pickles(pickled)
    convert(program, pickled, folder / "converted", [])
    record["tensors"] += len(truth)
    record["differences"] += differences(truth, load_folder(folder / "converted"), "convert")
    target = rng.choice(tuple(DTYPES))
    size = max(1000, sum(tensor.nbytes for tensor in truth.values()) // rng.choice((1, 2, 5)))
    convert(program, pickled, folder / "other", ["--dtype", target, "--max-shard-size", str(size)])
    changed = {name: tensor.to(DTYPES[target]) if tensor.is_floating_point() else tensor
               for name, tensor in truth.items()}
    record["differences"] += differences(changed, load_folder(folder / "other"),
                                         f"convert to {target}")
    before, after = (json.loads((path / "config.json").read_text())
                     for path in (pickled, folder / "other"))
    if {**before, "torch_dtype": target} != after:
        record["differences"].append(f"config.json: {before} became {after}")


def save(model, way, folder, rng):
    """pytorch_model.bin of one of the kinds that there are."""
    state = model.state_dict()
    path = folder / "pytorch_model.bin"
    if way == "save_pretrained":
        model.save_pretrained(folder, safe_serialization=False)
    elif way == "shards":
        size = sum(tensor.nbytes for tensor in state.values())
        model.save_pretrained(folder, safe_serialization=False,
                              max_shard_size=max(1000, size // rng.choice((2, 3, 7))))
    elif way == "parameters":
        torch.save(OrderedDict((*model.named_parameters(), *model.named_buffers())), path)
    elif way == "nested":
        torch.save({"epoch": 3, "args": {"lr": 1e-3, "names": ["a", None], "size": (1, 2)},
                    rng.choice(OUTER_NAMES): state, "optimizer": {"state": {0: {"step": 1.0}},
                                                                  "param_groups": []}}, path)
    elif way == "transposed":
        torch.save({name: turned(tensor) for name, tensor in state.items()}, path)
    elif way == "one_storage":
        flat = {dtype: torch.cat([tensor.reshape(-1) for tensor in state.values()
                                  if tensor.dtype == dtype])
                for dtype in {tensor.dtype for tensor in state.values()}}
        used = dict.fromkeys(flat, 0)
        views = {}
        for name, tensor in state.items():
            begin = used[tensor.dtype]
            used[tensor.dtype] = begin + tensor.numel()
            views[name] = flat[tensor.dtype][begin:begin + tensor.numel()].view(tensor.shape)
        torch.save(views, path)
    elif way == "padded_rows":
        torch.save({name: padded(tensor) for name, tensor in state.items()}, path)
    else:
        torch.save(state, path)


def turned(tensor):
    """The same values, the last dimension outermost in memory."""
    if tensor.dim() < 2:
        return tensor
    return tensor.movedim(-1, 0).contiguous().movedim(0, -1)


def padded(tensor):
    """The same values in a larger storage."""
    if tensor.dim() == 0:
        return tensor
    wide = torch.zeros((*tensor.shape[:-1], tensor.shape[-1] + 3), dtype=tensor.dtype)
    wide[..., 2:-1] = tensor
    return wide[..., 2:-1]


def compare_state(rng, program, folder, record):
    """Tensors that no model has, in one file."""
    generator = torch.Generator().manual_seed(rng.getrandbits(48))
    state = {}
    for index in range(rng.randint(1, 40)):
        name = rng.choice(("", "model.", "\u00e9\u4e2d.", "a b/", "\"'\\")) + str(index)
        tensor = random_tensor(rng, generator)
        if state and rng.random() < 0.15:
            tensor = rng.choice(list(state.values()))  # tied
        elif tensor.is_floating_point() and rng.random() < 0.1:
            tensor = torch.nn.Parameter(tensor, requires_grad=rng.random() < 0.5)
        state[name] = tensor
    path = folder / rng.choice(("state.bin", "state.pt", "state.pth"))
    torch.save(state, path)
    truth = torch.load(path, weights_only=True)
    output = folder / "state.safetensors"
    convert(program, path, output, [])
    record["tensors"] += len(truth)
    record["differences"] += differences(truth, load_file(output), "convert of a file")


def check_refusals(program, folder, record):
    """What torch writes and no state dict is."""
    module = torch.nn.Linear(2, 3)
    path, output = folder / "refused.pt", folder / "refused.safetensors"
    for save_it, words in (
            (lambda: torch.jit.save(torch.jit.script(module), path), "got a TorchScript program"),
            (lambda: torch.save(module, path), 'got global "torch.nn.modules.linear.Linear"'),
            (lambda: torch.save(module.state_dict(), path, _use_new_zipfile_serialization=False),
             "got a pickle without one, as torch wrote before 1.6"),
            (lambda: torch.save({"a": np.float32(1)}, path), "multiarray.scalar"),
            (lambda: torch.save({"a": torch.eye(2).to_sparse()}, path),
             'got global "torch._utils._rebuild_sparse_tensor"'),
            (lambda: torch.save({"a": torch.zeros(2, dtype=torch.complex128)}, path),
             'got global "torch.ComplexDoubleStorage"'),
            (lambda: torch.save({"a": torch.zeros(2, dtype=torch.complex64).conj()}, path),
             "expected a tensor without flags"),
            (lambda: torch.save(module.state_dict(), path, pickle_protocol=4),
             "expected a pickle of protocol 2, got protocol 4")):
        save_it()
        try:
            convert(program, path, output, [])
            record["differences"].append(f"refusals: converted, expected: {words}")
        except ProgramError as error:
            if "exit code 1: [checkpoint] " not in str(error) or words not in str(error):
                record["differences"].append(f"refusals: expected: {words}, got: {error}")
        if output.exists():
            record["differences"].append("refusals: wrote the output")


def random_tensor(rng, generator):
    shape = [rng.choice((0, 1, 1, 2, 3, 5, 8)) for _ in range(rng.choice((0, 1, 1, 2, 2, 3, 4, 5)))]
    dtype = rng.choice(RANDOM_DTYPES)
    size = torch.empty(0, dtype=dtype).element_size()
    count = size
    for length in shape:
        count *= length
    data = torch.randint(0, 256, (count,), dtype=torch.uint8, generator=generator)
    if dtype == torch.bool:
        data = data & 1
    tensor = data.view(dtype).view(shape)
    return change_strides(rng, tensor)


def change_strides(rng, tensor):
    for _ in range(rng.choice((0, 0, 1, 2, 3))):
        if tensor.dim() == 0:
            return tensor
        axis = rng.randrange(tensor.dim())
        change = rng.randrange(5)
        if change == 0:
            tensor = tensor.movedim(axis, rng.randrange(tensor.dim()))
        elif change == 1:
            tensor = tensor.narrow(axis, tensor.shape[axis] // 2, (tensor.shape[axis] + 1) // 2)
        elif change == 2:
            tensor = tensor[(slice(None),) * axis + (slice(None, None, 2),)]
        elif change == 3 and tensor.shape[axis] > 0:
            tensor = tensor.select(axis, rng.randrange(tensor.shape[axis]))
        elif change == 4 and tensor.shape[axis] == 1:
            tensor = tensor.expand(*tensor.shape[:axis], rng.randint(1, 4), *tensor.shape[axis + 1:])
    return tensor


def convert(program, model, output, arguments):
    run_program([program, "convert", "--model", str(model), "--output", str(output), *arguments])


def load_pickles(folder):
    """The tensors of pytorch_model.bin or of its shards."""
    result = {}
    for path in sorted(folder.glob("*.bin")):
        loaded = torch.load(path, weights_only=True)
        for name in OUTER_NAMES:
            loaded = loaded.get(name, loaded)
        result.update(loaded)
    return result


def load_folder(folder):
    """The tensors of model.safetensors or of the shards that its index names."""
    index = folder / "model.safetensors.index.json"
    paths = [folder / "model.safetensors"]
    if index.exists():
        mapped = json.loads(index.read_text())["weight_map"]
        paths = [folder / name for name in sorted(set(mapped.values()))]
    result = {}
    for path in paths:
        with safe_open(path, "pt") as file:
            if file.metadata() != {"format": "pt"}:
                raise RuntimeError(f"{path}: metadata {file.metadata()}")
        result.update(load_file(path))
    return result
