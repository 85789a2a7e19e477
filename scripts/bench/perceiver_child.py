"""One forward pass of a Perceiver under Transformers, for a look at its memory."""

import sys
import warnings

warnings.filterwarnings("ignore")


def main(name):
    import torch

    from bench import perceiver

    torch.set_num_threads(perceiver.THREADS)
    model = perceiver.make_model(name)
    with torch.inference_mode():
        model(**perceiver.keyword_arguments(perceiver.make_inputs(name)))


if __name__ == "__main__":
    sys.path.pop(0)  # this folder, whose files are modules of `bench`
    main(*sys.argv[1:])
