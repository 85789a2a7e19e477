"""Command line: compares the vizoo program with Transformers on fresh random configurations."""

import argparse
import gc
import json
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path

PARTS = ("models", "processors", "tokenizers", "detections", "perceiver_tasks", "checkpoints",
         "training", "trained")


def parse_arguments(arguments):
    parser = argparse.ArgumentParser(
        prog="scripts/parity.sh",
        description="Compares the vizoo program with Transformers 4.37.2 on random configurations.")
    parser.add_argument("--family", help="one family (default: all)")
    parser.add_argument("--class", dest="class_name", help="one class of the family")
    parser.add_argument("--processors", action="store_true", help="image processors only")
    parser.add_argument("--models", action="store_true", help="models only")
    parser.add_argument("--tokenizers", action="store_true", help="tokenizers only")
    parser.add_argument("--detections", action="store_true",
                        help="detections of OWLv2 only: vizoo detect, texts and query images")
    parser.add_argument("--perceiver-tasks", action="store_true",
                        help="pipelines of Perceiver only: vizoo fill-mask, flow, classify and "
                             "autoencode")
    parser.add_argument("--checkpoints", action="store_true",
                        help="checkpoints of torch.save only: pytorch_model.bin and vizoo convert")
    parser.add_argument("--training", action="store_true",
                        help="training only: fifty steps of vizoo_training_steps")
    parser.add_argument("--trained", action="store_true",
                        help="what vizoo train saved only: loaded in Transformers")
    parser.add_argument("--cases", type=int, default=10, help="cases per class (default: 10)")
    parser.add_argument("--processor-cases", type=int, default=None,
                        help="processor configurations (default: as --cases)")
    parser.add_argument("--tokenizer-cases", type=int, default=None,
                        help="tokenizer folders, about 180 strings each (default: 4 x --cases)")
    parser.add_argument("--training-cases", type=int, default=12,
                        help="models to train (default: 12, each of six with AdamW and with SGD)")
    parser.add_argument("--trained-cases", type=int, default=6,
                        help="models that vizoo train trains (default: 6, each once)")
    parser.add_argument("--clip-strings", type=int, default=2000,
                        help="strings on CLIP's real vocabulary (default: 2000; "
                             "scripts/clip_vocabulary.sh)")
    parser.add_argument("--perceiver-strings", type=int, default=2000,
                        help="strings for PerceiverTokenizer as it is published (default: 2000)")
    parser.add_argument("--every-code-point", action="store_true",
                        help="every code point as well, with both of these")
    parser.add_argument("--seed", type=int, help="default: a fresh one, printed first")
    parser.add_argument("--case", type=int, help="only this case, as a failure names it")
    parser.add_argument("--dtype", choices=("float32", "float64", "bfloat16", "float16"),
                        help="of every case (default: float32, one in five float64); half types "
                             "run without gradients")
    parser.add_argument("--jobs", type=int, default=1, help="cases at the same time (default: 1)")
    parser.add_argument("--log", type=Path, help="append one JSON line per case to this file")
    parser.add_argument("--vizoo", type=Path, help="the program (default: the newest build)")
    parser.add_argument("--keep", action="store_true", help="keep the folders of passing cases too")
    parser.add_argument("--self-test", action="store_true",
                        help="check that injected errors are found; needs no program")
    return parser.parse_args(arguments)


def run_case(task):
    """One case in a worker: a record for the log. The folder stays if the case fails."""
    import torch

    from parity.build import build_case
    from parity.compare import compare
    from parity.door import Program, ProgramError
    from parity.families import FAMILIES
    from parity.v5_reference import reference_of

    torch.set_num_threads(1)
    started = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix=f"vizoo-parity-{task['index']}-"))
    record = {"family": task["family"], "seed": task["seed"], "case": task["index"]}
    try:
        case = build_case(FAMILIES[task["family"]], task["seed"], task["index"], folder)
        if task["dtype"]:
            set_dtype(FAMILIES[task["family"]], case, task["dtype"])
        rerun = case.rerun_command() + (f" --dtype {task['dtype']}" if task["dtype"] else "")
        record.update(case.describe(), rerun=rerun)
        try:
            ours = Program(task["program"]).forward(case, folder)
            result = compare(case, reference_of(case), ours)
            record.update(passed=result.passed, tensors=result.tensors, worst=result.worst,
                          worst_name=result.worst_name,
                          differences=[str(difference) for difference in result.differences])
        except ProgramError as error:
            record.update(passed=False, tensors=0, differences=[f"vizoo forward: {error}"])
    except Exception:  # a defect of the harness must not pass for a result of the program
        record.update(passed=False, tensors=0, differences=["harness: " + traceback.format_exc()])
    record["seconds"] = round(time.monotonic() - started, 3)
    record["folder"] = str(folder)
    if record["passed"] and not task["keep"]:
        shutil.rmtree(folder, ignore_errors=True)
    return record


def set_dtype(family, case, dtype):
    case.options.dtype = dtype
    if dtype in ("bfloat16", "float16"):
        case.options.gradients = None
        case.inputs.pop("cotangent", None)
        if hasattr(family, "for_half_types"):
            family.for_half_types(case)
        if not getattr(family, "trains_in_half_types", True):
            case.options.train_mode = False


def make_tasks(options, families, program):
    tasks = []
    for family in families:
        classes = family.classes
        indices = range(options.cases * len(classes)) if options.case is None else [options.case]
        for index in indices:
            class_name = classes[index % len(classes)]
            if options.class_name and class_name != options.class_name:
                continue
            if options.dtype in ("bfloat16", "float16") and \
                    class_name in getattr(family, "not_in_half_types", ()):
                continue
            tasks.append({"family": family.name, "seed": options.seed, "index": index,
                          "program": str(program), "dtype": options.dtype,
                          "keep": options.keep or options.case is not None})
    return tasks


def report(record, say):
    """Prints a failed case: what differs first, the configuration, how to run it again."""
    say(f"FAILED {record.get('family', 'processors')} seed {record['seed']} case {record['case']} "
        f"{record.get('class', '')}")
    for line in record["differences"][:3]:
        say(f"  {line}")
    if len(record["differences"]) > 3:
        say(f"  and {len(record['differences']) - 3} more tensors after these, in forward order")
    known = {key: record[key] for key in ("saved_class", "save", "inputs", "options", "config",
                                          "processor", "images", "call")
             if key in record}
    say(f"  {json.dumps(known, sort_keys=True)}")
    say(f"  folder {record['folder']}")
    say(f"  again: {record.get('rerun', '')}")


def run_tasks(tasks, worker, options, say):
    """(passed, failed); writes the log as cases finish."""
    passed = failed = 0
    log = options.log.open("a", encoding="utf-8") if options.log else None
    pool = multiprocessing.get_context("fork").Pool(options.jobs) if options.jobs > 1 else None
    progress = sys.stderr.isatty()
    try:
        records = pool.imap_unordered(worker, tasks) if pool else map(worker, tasks)
        for count, record in enumerate(records, 1):
            passed, failed = passed + record["passed"], failed + (not record["passed"])
            if not record["passed"]:
                report(record, say)
            if log:
                log.write(json.dumps(record, sort_keys=True) + "\n")
                log.flush()
            if progress:
                print(f"\r{count}/{len(tasks)} cases, {failed} failed ", end="", file=sys.stderr)
    finally:
        if pool:
            pool.terminate()
        if log:
            log.close()
        if progress:
            print(file=sys.stderr)
    return passed, failed


def prepare_libraries():
    """Quiet, offline, one thread a worker; imported once, before workers fork."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    warnings.filterwarnings("ignore")
    import torch
    import transformers

    torch.set_num_threads(1)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    if transformers.__version__ != "4.37.2":
        raise SystemExit(f"parity: expected transformers 4.37.2, got {transformers.__version__}")


def run_tokenizers(options, program, say):
    from parity.clip_strings import run_clip_strings
    from parity.perceiver_strings import run_perceiver_strings
    from parity.tokenizers import make_tokenizer_tasks, run_tokenizer_case

    tasks = make_tokenizer_tasks(options, program)
    passed, failed = run_tasks(tasks, run_tokenizer_case, options, say)
    say(f"tokenizers: {passed} passed, {failed} failed")
    if options.case is not None:
        return passed, failed
    for family, count, run in (("owlv2", options.clip_strings, run_clip_strings),
                               ("perceiver", options.perceiver_strings, run_perceiver_strings)):
        if count > 0 and options.family in (None, family):
            good, bad = run(options, program, say)
            passed, failed = passed + good, failed + bad
    return passed, failed


def main(arguments=None):
    options = parse_arguments(arguments)
    chosen = [part for part in PARTS if getattr(options, part)]

    def is_wanted(part):
        return not chosen or part in chosen

    if options.seed is None:
        options.seed = int.from_bytes(os.urandom(4), "little")

    def say(line):
        print(line, flush=True)

    say(f"seed {options.seed}")
    prepare_libraries()
    from parity import v5
    from parity.door import find_program
    from parity.families import FAMILIES

    gc.freeze()  # Transformers collects garbage after each file that it loads: 0.2 s otherwise
    if options.family and options.family not in FAMILIES:
        raise SystemExit(f"parity: --family: expected one of {'|'.join(FAMILIES)}, "
                         f"got {options.family}")
    families = [FAMILIES[options.family]] if options.family else list(FAMILIES.values())
    passed = failed = 0
    if options.self_test:
        from parity.selftest import self_test

        for family in families:
            good, bad = self_test(family, options.seed, options.cases, say)
            passed, failed = passed + good, failed + bad
        if not options.family:
            from parity.tokenizers import self_test as tokenizer_self_test
            from parity.training import self_test as training_self_test

            for good, bad in (tokenizer_self_test(say), training_self_test(options.seed, say)):
                passed, failed = passed + good, failed + bad
        say(f"self-test: {passed} passed, {failed} failed")
        return 1 if failed else 0

    program = find_program(options.vizoo)
    say(f"program {program}")
    say("5.x: Transformers 5.17 itself" if v5.available() else
        "5.x: stand-ins on torch and 4.37.2 (scripts/reference_env.sh --v5 installs 5.17)")
    if is_wanted("models"):
        tasks = make_tasks(options, families, program)
        good, bad = run_tasks(tasks, run_case, options, say)
        say(f"models: {good} passed, {bad} failed")
        passed, failed = passed + good, failed + bad
    if is_wanted("processors"):
        from parity.processors import make_processor_tasks, run_processor_case

        tasks = make_processor_tasks(options, families, program)
        good, bad = run_tasks(tasks, run_processor_case, options, say)
        say(f"processors: {good} passed, {bad} failed")
        passed, failed = passed + good, failed + bad
    if is_wanted("detections"):
        from parity.commands import make_command_tasks
        from parity.detections import run_detection_case

        tasks = make_command_tasks(options, families, "owlv2", program)
        good, bad = run_tasks(tasks, run_detection_case, options, say)
        say(f"detections: {good} passed, {bad} failed")
        passed, failed = passed + good, failed + bad
    if is_wanted("perceiver_tasks"):
        from parity.commands import make_command_tasks
        from parity.perceiver_tasks import run_perceiver_task

        tasks = make_command_tasks(options, families, "perceiver", program)
        good, bad = run_tasks(tasks, run_perceiver_task, options, say)
        say(f"Perceiver's tasks: {good} passed, {bad} failed")
        passed, failed = passed + good, failed + bad
    some = options.family or options.class_name or options.case is not None
    if options.checkpoints or is_wanted("checkpoints") and not some:
        from parity.checkpoints import make_checkpoint_tasks, run_checkpoint_case

        tasks = make_checkpoint_tasks(options, families, program)
        good, bad = run_tasks(tasks, run_checkpoint_case, options, say)
        say(f"checkpoints: {good} passed, {bad} failed")
        passed, failed = passed + good, failed + bad
    if options.tokenizers or is_wanted("tokenizers") and not some:
        good, bad = run_tokenizers(options, program, say)
        passed, failed = passed + good, failed + bad
    if options.training or is_wanted("training") and not some:
        from parity.training import make_training_tasks, run_training_case

        tasks = make_training_tasks(options, families, program)
        good, bad = run_tasks(tasks, run_training_case, options, say)
        say(f"training: {good} passed, {bad} failed")
        passed, failed = passed + good, failed + bad
    if options.trained or is_wanted("trained") and not some:
        from parity.trained import make_trained_tasks, run_trained_case

        tasks = make_trained_tasks(options, families, program)
        good, bad = run_tasks(tasks, run_trained_case, options, say)
        say(f"trained: {good} passed, {bad} failed")
        passed, failed = passed + good, failed + bad
    say(f"parity: {passed} passed, {failed} failed")
    return 1 if failed or not passed else 0
