"""Runs `vizoo convert`, and other commands on pytorch_model.bin, from the source folder.

usage: convert_test.py PROGRAM ON|OFF      (whether the program was built with OpenCV)
"""

import json
import os
import pathlib
import shutil
import struct
import subprocess
import sys

import support
from support import CHECKPOINT, ProgramTest, read_safetensors, vizoo, write_safetensors

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "fuzz"))
import torch_corpus  # noqa: E402

STORAGES = {"F32": ("FloatStorage", 4), "F16": ("HalfStorage", 2), "BF16": ("BFloat16Storage", 2),
            "F64": ("DoubleStorage", 8), "I64": ("LongStorage", 8)}
CORPUS = pathlib.Path("test/fuzz/corpus/torch_checkpoint")


def pickled(tensors):
    """{name: (dtype, shape, bytes)} as the file that torch.save would write."""
    pairs, entries = [], []
    for index, (name, (dtype, shape, content)) in enumerate(tensors.items()):
        kind, size = STORAGES[dtype]
        strides, step = [], 1
        for length in reversed(shape):
            strides.insert(0, step)
            step *= length
        source = torch_corpus.storage(torch_corpus.name("torch", kind), str(index),
                                      len(content) // size)
        pairs.append((name, torch_corpus.tensor(shape, strides, source=source)))
        entries.append(torch_corpus.Entry(f"archive/data/{index}", content))
    body = torch_corpus.pickle(torch_corpus.state(*pairs))
    return torch_corpus.archive([torch_corpus.Entry("archive/data.pkl", body), *entries])


class Convert(ProgramTest):
    def bin_checkpoint(self):
        """The small classifier as a .bin."""
        folder = self.copy_checkpoint()
        weights = folder / "model.safetensors"
        (folder / "pytorch_model.bin").write_bytes(pickled(read_safetensors(weights)))
        weights.unlink()
        return folder

    def sharded_bin_checkpoint(self):
        folder = self.copy_checkpoint()
        tensors = list(read_safetensors(folder / "model.safetensors").items())
        weight_map = {}
        for shard in range(3):
            name = f"pytorch_model-0000{shard + 1}-of-00003.bin"
            part = dict(tensors[shard::3])
            (folder / name).write_bytes(pickled(part))
            weight_map.update((tensor, name) for tensor in part)
        (folder / "pytorch_model.bin.index.json").write_text(
            json.dumps({"metadata": {"total_size": 1}, "weight_map": weight_map}))
        (folder / "model.safetensors").unlink()
        return folder

    def convert(self, model, output, *arguments):
        result = vizoo("convert", "--model", model, "--output", output, *arguments)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        return result.stdout

    def test_pickles_to_safetensors(self):
        for make in (self.bin_checkpoint, self.sharded_bin_checkpoint):
            folder, output = make(), self.folder / "converted"
            text = self.convert(folder, output)
            for name in ("model.safetensors", "config.json", "preprocessor_config.json"):
                self.assertEqual((output / name).read_bytes(), (CHECKPOINT / name).read_bytes())
                self.assertIn(f"{output / name}\n", text)
            self.assertTrue(text.endswith(", 0 of them converted, 1078888 bytes\n"), text)
            shutil.rmtree(folder)
            shutil.rmtree(output)

    def test_the_same_from_both(self):
        pixels = struct.pack("<3072f", *(((i * 37) % 101) / 50 - 1 for i in range(3072)))
        write_safetensors(self.folder / "in.safetensors", {"pixel_values": ("F32", [1, 3, 32, 32],
                                                                           pixels)})
        answers = []
        for folder in (CHECKPOINT, self.bin_checkpoint()):
            output = self.folder / f"{len(answers)}.safetensors"
            result = vizoo("forward", "--model", folder, "--inputs",
                           self.folder / "in.safetensors", "--outputs", output)
            self.assertEqual((result.returncode, result.stderr), (0, ""))
            inspected = vizoo("inspect", folder, "--json", "--tensors")
            self.assertEqual((inspected.returncode, inspected.stderr), (0, ""))
            contents = json.loads(inspected.stdout)
            files = contents.pop("files")
            self.assertEqual(len(files), 1)
            contents.pop("folder")
            answers.append((read_safetensors(output), contents))
        self.assertEqual(answers[0], answers[1])
        self.assertEqual(files, ["pytorch_model.bin"])

    def test_dtype_and_shards(self):
        output = self.folder / "half"
        text = self.convert(CHECKPOINT, output, "--dtype", "bfloat16", "--max-shard-size", "100KB")
        config = (CHECKPOINT / "config.json").read_text()
        self.assertIn('"torch_dtype": "float32"', config)
        self.assertEqual((output / "config.json").read_text(),
                         config.replace('"torch_dtype": "float32"', '"torch_dtype": "bfloat16"'))
        index = json.loads((output / "model.safetensors.index.json").read_text())
        shards = sorted(set(index["weight_map"].values()))
        self.assertGreater(len(shards), 5)
        original = read_safetensors(CHECKPOINT / "model.safetensors")
        self.assertEqual(sorted(index["weight_map"]), sorted(original))
        for shard in shards:
            self.assertIn(f"{output / shard}\n", text)
            for name, (dtype, shape, content) in read_safetensors(output / shard).items():
                self.assertEqual((dtype, shape), ("BF16", original[name][1]))
                values = struct.unpack(f"<{len(content) // 2}H", content)
                exact = struct.unpack(f"<{len(content) // 2}I", original[name][2])
                rounded = [(bits + 0x7FFF + (bits >> 16 & 1)) >> 16 for bits in exact]
                self.assertEqual(list(values), rounded)
        inspected = json.loads(vizoo("inspect", output, "--json").stdout)
        self.assertEqual(inspected["problems"], [])
        self.assertEqual(inspected["dtypes"], ["BF16"])

    def test_single_files(self):
        tensors = {"steps": ("I64", [], struct.pack("<q", 2**40)),
                   "weight": ("F32", [2, 2], struct.pack("<4f", 1, -2, 0.5, 3)),
                   "scale": ("F64", [1], struct.pack("<d", 1 / 3))}
        pickle = self.folder / "state.pt"
        pickle.write_bytes(pickled(tensors))
        output = self.folder / "state.safetensors"
        self.assertEqual(self.convert(pickle, output),
                         f"{output}\n3 tensors, 0 of them converted, 32 bytes\n")
        self.assertEqual(read_safetensors(output), tensors)
        halves = self.folder / "halves.safetensors"
        self.assertEqual(self.convert(output, halves, "--dtype", "float16"),
                         f"{halves}\n3 tensors, 2 of them converted, 18 bytes\n")
        self.assertEqual(read_safetensors(halves), {
            "steps": tensors["steps"], "weight": ("F16", [2, 2], struct.pack("<4e", 1, -2, 0.5, 3)),
            "scale": ("F16", [1], struct.pack("<e", 1 / 3))})

    def test_variant(self):
        folder = self.copy_checkpoint()
        (folder / "model.safetensors").rename(folder / "model.fp16.safetensors")
        output = self.folder / "out"
        self.convert(folder, output, "--variant", "fp16")
        self.assertEqual((output / "model.safetensors").read_bytes(),
                         (CHECKPOINT / "model.safetensors").read_bytes())

    def test_other_values(self):
        output = self.folder / "out.safetensors"
        result = vizoo("convert", "--model", CORPUS / "good_nested", "--output", output)
        self.assertEqual((result.returncode, result.stderr),
                         (0, "warning: not tensors, ignored: epoch.\n"))
        self.assertEqual(list(read_safetensors(output)), ["weight"])

    def test_no_code_is_run(self):
        marker = self.folder / "marker"
        body = torch_corpus.name("os", "system") + torch_corpus.group(
            torch_corpus.text(f"touch {marker}")) + b"R"
        model = self.folder / "pytorch_model.bin"
        model.write_bytes(torch_corpus.raw(torch_corpus.pickle(body)))
        output = self.folder / "out.safetensors"
        self.check_failure(
            vizoo("convert", "--model", model, "--output", output), 1,
            f'[checkpoint] {model}: data.pkl byte 2: expected what a pickle of tensors needs, got '
            'global "os.system". Only tensors in dicts are read: save model.state_dict() alone, by '
            'torch.save or as safetensors.')
        self.assertFalse(marker.exists())
        self.assertFalse(output.exists())

    def test_bad_files(self):
        """What the reader refuses leaves the output as it was."""
        output = self.folder / "out.safetensors"
        output.write_text("old")
        for name in ("memo_of_2_28", "string_of_2_31", "empty_stack", "odd_items", "torchscript",
                     "legacy_pickle", "expanded_to_2_50"):
            with self.subTest(name):
                result = vizoo("convert", "--model", CORPUS / name, "--output", output)
                self.assertEqual((result.returncode, result.stdout), (1, ""))
                self.assertEqual(result.stderr.count("\n"), 1)
                self.assertTrue(result.stderr.startswith(f"[checkpoint] {CORPUS / name}: "))
        self.assertEqual(output.read_text(), "old")
        whole = pickled(read_safetensors(CHECKPOINT / "model.safetensors"))
        cut = self.folder / "cut.bin"
        for percent in (0, 5, 50, 95):
            cut.write_bytes(whole[:len(whole) * percent // 100])
            result = vizoo("convert", "--model", cut, "--output", output)
            self.assertEqual((result.returncode, result.stderr.count("\n")), (1, 1))
        self.assertEqual(output.read_text(), "old")

    def test_usage(self):
        folder = self.copy_checkpoint()
        file = folder / "model.safetensors"
        own = 'The input is never replaced.'
        for arguments, message in (
                ((folder, folder), f'[convert] output: expected another place than the input, got '
                                   f'"{folder}". {own}'),
                ((file, file), f'[convert] output: expected another place than the input, got '
                               f'"{file}". {own}'),
                ((file, self.folder / "x.bin"),
                 f'[convert] output: expected the name of a file that ends in .safetensors, got '
                 f'"{self.folder}/x.bin". The input is a single file.'),
                ((folder, self.folder / "x", "--dtype", "int8"),
                 '[usage] --dtype: expected one of float32|float64|bfloat16|float16, got "int8".'),
                ((folder, self.folder / "x", "--max-shard-size", "5Gb5"),
                 '[usage] --max-shard-size: expected a size such as 5GB, 300MiB or 1000000, got '
                 '"5Gb5".'),
                ((folder, self.folder / "x", "--max-shard-size", "5gb"),
                 '[usage] --max-shard-size: expected a size such as 5GB, 300MiB or 1000000, got '
                 '"5gb".'),
                ((folder, self.folder / "x", "--max-shard-size", "0"),
                 '[usage] --max-shard-size: expected a size such as 5GB, 300MiB or 1000000, got '
                 '"0".'),
                ((folder, self.folder / "x", "--max-shard-size", "99999999999999GB"),
                 '[usage] --max-shard-size: expected a size such as 5GB, 300MiB or 1000000, got '
                 '"99999999999999GB".'),
                ((file, self.folder / "x.safetensors", "--max-shard-size", "1GB"),
                 f'[usage] --max-shard-size: expected a folder as --model, got "{file}". A single '
                 'file becomes a single file.'),
                ((file, self.folder / "x.safetensors", "--variant", "fp16"),
                 f'[usage] --variant: expected a folder as --model, got "{file}". A single file '
                 'becomes a single file.')):
            with self.subTest(arguments):
                model, output, *more = arguments
                self.check_failure(vizoo("convert", "--model", model, "--output", output, *more),
                                   2, message)
        self.assertEqual(file.read_bytes(), (CHECKPOINT / "model.safetensors").read_bytes())
        self.assertEqual(vizoo("convert", "--model", folder).returncode, 2)

    def test_targets_that_cannot_be_written(self):
        output = self.folder / "no" / "out.safetensors"
        self.check_failure(
            vizoo("convert", "--model", CHECKPOINT / "model.safetensors", "--output", output), 1,
            f'[checkpoint] {output}: expected a file that can be written, got "No such file or '
            'directory". What was there before is unchanged.')
        taken = self.folder / "taken"
        taken.write_text("old")
        result = vizoo("convert", "--model", CHECKPOINT, "--output", taken)
        self.assertEqual(result.returncode, 1)
        self.assertTrue(result.stderr.startswith(
            f"[checkpoint] {taken}: expected a folder that can be written, got "))
        self.assertEqual(taken.read_text(), "old")

    def test_memory_is_that_of_a_tensor(self):
        """24 tensors of 8 MiB in a pickle: twice the file would be 400 MB."""
        content = bytes(8 << 20)
        large = self.folder / "large.bin"
        large.write_bytes(pickled({f"t{i}": ("F32", [1 << 21], content) for i in range(24)}))
        small = self.folder / "small.bin"
        small.write_bytes(pickled({"t": ("F32", [4], bytes(16))}))
        peaks = []
        for model in (small, large):
            # Sanitizers keep what has been freed for a while.
            environment = {**os.environ, "ASAN_OPTIONS": "quarantine_size_mb=1"}
            child = subprocess.Popen(
                [support.PROGRAM, "convert", "--model", model, "--output",
                 self.folder / "out.safetensors", "--dtype", "bfloat16"],
                stdout=subprocess.DEVNULL, env=environment)
            _, status, usage = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
            self.assertEqual(child.returncode, 0)
            peaks.append(usage.ru_maxrss * 1024)
        self.assertLess(peaks[1] - peaks[0], 64 << 20)


if __name__ == "__main__":
    support.run_tests()
