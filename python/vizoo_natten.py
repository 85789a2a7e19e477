"""The two functions of NATTEN 0.14 that NAT and DiNAT call, on today's torch, from libvizoo_ops.so.

    import vizoo_natten
    vizoo_natten.install("build/release/lib/libvizoo_ops.so")
    model = transformers.DinatForImageClassification.from_pretrained("weights/dinat-digits")

Without an argument the library is what the environment variable VIZOO_OPS_LIBRARY names, else the
libvizoo_ops.so beside this file or, where an installed vizoo has it, two folders above. Gradients,
autocast and torch.compile work.
"""

import importlib.machinery
import os
import pathlib
import sys
import types

import torch


def load(library=None):
    """Loads the ops torch.ops.vizoo.*; nothing happens when they are loaded already."""
    beside = pathlib.Path(__file__).with_name("libvizoo_ops.so")
    installed = beside.parent / "../.." / beside.name
    default = installed if installed.is_file() and not beside.is_file() else beside
    path = pathlib.Path(library or os.environ.get("VIZOO_OPS_LIBRARY") or default)
    if not path.is_file():
        raise FileNotFoundError(f"[vizoo_natten] library: expected libvizoo_ops.so, got {path}. "
                                "Give its path, or set VIZOO_OPS_LIBRARY.")
    torch.ops.load_library(path.resolve())


def natten2dqkrpb(query, key, rpb, kernel_size, dilation):
    """query . key + rpb over each query's window, unscaled: [B, heads, H, W, Kh * Kw].

    query, key: [B, heads, H, W, D]; rpb: [heads, 2 Kh - 1, 2 Kw - 1] or None; kernel_size and
    dilation: an integer, or two, height first.
    """
    return torch.ops.vizoo.na2d_qk(
        _dense(query), _dense(key), rpb, _pair(kernel_size), _pair(dilation))


def natten2dav(attn, value, kernel_size, dilation):
    """The sum of values weighted by attn [B, heads, H, W, Kh * Kw]: [B, heads, H, W, D]."""
    return torch.ops.vizoo.na2d_av(attn, _dense(value), _pair(kernel_size), _pair(dilation))


def install(library=None):
    """Makes `import natten` give this module, and Transformers' Nat and Dinat use it."""
    load(library)
    functions = {"natten2dqkrpb": natten2dqkrpb, "natten2dav": natten2dav}
    natten, functional = (types.ModuleType(name) for name in ("natten", "natten.functional"))
    vars(functional).update(functions)
    vars(natten).update(functional=functional, __path__=[], __version__="0.14.6")
    for module in (natten, functional):
        module.__spec__ = importlib.machinery.ModuleSpec(module.__name__, None)
        sys.modules[module.__name__] = module

    try:
        from transformers.utils import import_utils
    except ImportError:
        return
    # Transformers 4 asked for NATTEN when it was imported; Transformers 5 asks once, later.
    import_utils._natten_available = True
    getattr(import_utils.is_natten_available, "cache_clear", lambda: None)()
    for name in ("nat", "dinat"):
        model = sys.modules.get(f"transformers.models.{name}.modeling_{name}")
        if model is not None:
            vars(model).update(functions)


def _pair(numbers):
    return [numbers, numbers] if isinstance(numbers, int) else list(numbers)


def _dense(tensor):
    """The ops want unit stride over the last dimension; NATTEN took any."""
    return tensor if tensor.stride(-1) == 1 else tensor.contiguous()
