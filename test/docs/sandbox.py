"""Where the commands of a page run: a folder that looks like a checkout that has been built.

Its files are links to the real checkout, but `weights` is a copy. `build/release` offers what has
been built and what installs and packs it, and nothing that could build: commands read what is there
and write beside it.
"""

import json
import pathlib
import shutil
import sys

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path[1:1] = [str(TESTS / "cli"), str(TESTS / "install")]
import perceiver_test  # noqa: E402
from installation import run  # noqa: E402


class Sandbox:
    def __init__(self, source, build, work, make_checkpoint):
        self.source, self.work = source, work
        self.checkout, self.home = work / "vizoo", work / "home"
        perceiver_test.MAKE_CHECKPOINT = make_checkpoint
        shutil.rmtree(work, ignore_errors=True)
        self.home.mkdir(parents=True)
        self._offer_build(build)
        for entry in source.iterdir():
            name = entry.name
            if name == "weights":
                shutil.copytree(entry, self.checkout / name)
            elif name != ".git" and not name.startswith("build"):
                (self.checkout / name).symlink_to(entry)

    def _offer_build(self, build):
        # Neither CMake's cache nor the folders of objects: who configured or built in here would
        # change the build under test.
        release = self.checkout / "build/release"
        for folder in ("bin", "lib"):
            (release / folder).mkdir(parents=True)
            for file in (build / folder).iterdir():
                if file.is_file():
                    (release / folder / file.name).symlink_to(file)
        for name in ("cmake_install.cmake", "CPackConfig.cmake"):
            shutil.copy(build / name, release)

    def provide(self, page):
        """Stand-ins for what a reader brings along, as far as the page names it: photos, videos and
        checkpoints that are too large to ship. The latter are of the real classes, tiny and
        random."""
        for name, make in self.MAKERS.items():
            if name in page and not (self.checkout / name).exists():
                make(self, self.checkout / name)

    def _digit(self, path):
        shutil.copy(self.checkout / "weights/convnext-digits/images/digit-12-label-6.png", path)

    def _digits(self, path):
        path.mkdir()
        for image in sorted((self.checkout / "weights/convnext-digits/images").glob("*.png"))[:3]:
            shutil.copy(image, path)

    def _classes(self, path):
        for index, image in enumerate(
                sorted((self.checkout / "weights/convnext-digits/images").glob("*.png"))[:12]):
            folder = path / ("train", "test")[index % 2] / "abcdef"[index // 2]
            folder.mkdir(parents=True)
            shutil.copy(image, folder)

    def _frame(self, path):
        perceiver_test.write_png(path, 23, 31, perceiver_test.pattern(int(path.name == "b.png")))

    def _video(self, path):  # FFmpeg goes by the content, not by the name
        perceiver_test.write_y4m(path, 4, 20, 32)

    def _sound(self, path):
        perceiver_test.write_wav(path, 48000, 1, 4 * 1920)

    def _perceiver(self, path, class_name, config):
        folder = self.work / f"making-{path.name}"
        folder.mkdir()
        perceiver_test.make_checkpoint(folder, class_name, config).rename(path)

    def _flow_model(self, path):
        self._perceiver(path, "PerceiverForOpticalFlow", perceiver_test.FLOW)

    def _language_model(self, path):
        self._perceiver(path, "PerceiverForMaskedLM", perceiver_test.LANGUAGE)

    def _multimodal_model(self, path):
        self._perceiver(path, "PerceiverForMultimodalAutoencoding",
                        {**perceiver_test.VIDEO, "audio_samples_per_frame": 1920})

    def _detector(self, path):
        letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
        tokens = ["!", "!</w>", *letters, *(letter + "</w>" for letter in letters), "at</w>",
                  "<|startoftext|>", "<|endoftext|>"]
        config = json.loads((self.source / "test/fixtures/owlv2/detector/config.json").read_text())
        config["text_config"].update(vocab_size=len(tokens), max_position_embeddings=16,
                                     bos_token_id=len(tokens) - 2, eos_token_id=len(tokens) - 1)
        making = self.work / "making-detector"
        making.mkdir()
        (making / "config.json").write_text(json.dumps(config))
        run(perceiver_test.MAKE_CHECKPOINT, "Owlv2ForObjectDetection", making, path)
        side = config["vision_config"]["image_size"]
        for name, content in (
                ("vocab.json", {token: index for index, token in enumerate(tokens)}),
                ("tokenizer_config.json", {"tokenizer_class": "CLIPTokenizer", "pad_token": "!",
                                           "model_max_length": 16}),
                ("preprocessor_config.json", {"image_processor_type": "Owlv2ImageProcessor",
                                              "size": {"height": side, "width": side}})):
            (path / name).write_text(json.dumps(content))
        (path / "merges.txt").write_text("#version: 0.2\na t</w>\n")

    MAKERS = {
        "photo.png": _digit, "photos": _digits, "letters": _classes, "a.png": _frame, "b.png": _frame,
        "clip.mp4": _video, "clip.wav": _sound, "owlv2-base-patch16": _detector,
        "optical-flow-perceiver": _flow_model, "language-perceiver": _language_model,
        "multimodal-perceiver": _multimodal_model}
