"""The batch server: each answer beside that of `vizoo classify`, under load and when it ends.

Prints throughput, latencies and the sizes of the batches that formed; nothing of that is tested.
"""

import json
import os
import pathlib
import random
import shutil
import signal
import socket
import threading
import time
import unittest

from server import PATIENCE, Server, side_by_side
from support import CONVNEXT, DIGITS, DINAT, EXAMPLES, PROGRAM, ExampleTest, run

REQUESTS = 2000
CLIENTS = 16
DEADLINE = 3_600_000  # milliseconds: never
TOLERANCE = 1e-5  # of scores: the model in the archive and the batch that it ran in
FIXTURES = pathlib.Path("test/fixtures/images")


def scores(predictions):
    return {prediction["label"]: prediction["score"] for prediction in predictions}


class Serve(ExampleTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        paths = sorted(DIGITS.glob("*.png")) + sorted(
            path for path in FIXTURES.iterdir() if path.suffix in (".png", ".jpg"))
        result = run(PROGRAM, "classify", "--model", DINAT, "--top-k", 10, "--json", *paths)
        lines = [json.loads(line) for line in result.stdout.splitlines()]
        good = {line["image"]: line["predictions"] for line in lines if "predictions" in line}
        assert len(good) >= 50, result.stderr
        cls.images = {path: pathlib.Path(path).read_bytes() for path in good}
        cls.expected = {path: scores(predictions) for path, predictions in good.items()}
        png, jpg = cls.images[str(paths[0])], (FIXTURES / "rgb.jpg").read_bytes()
        cls.bad_images = {
            "empty": b"", "text": b"no image\n", "half a PNG": png[:len(png) // 2],
            "half a JPEG": jpg[:len(jpg) // 2], "noise": random.Random(1).randbytes(5000),
            # 65,535 x 65,535 pixels, or so it says
            "huge PNG": png[:16] + b"\0\0\xff\xff\0\0\xff\xff" + png[24:],
            "damaged PNG": png[:60] + bytes(40) + png[100:]}

    def server(self, *options):
        return Server(self, self.export(DINAT), "--deadline-ms", DEADLINE, *options)

    def check_answer(self, path, result):
        self.assertIsInstance(result, tuple, f"{path}: {result!r}")
        status, answer = result
        self.assertEqual(status, 200, answer)
        ours, expected = scores(answer["predictions"]), self.expected[path]
        self.assertEqual(set(ours), set(expected))
        ordered = [prediction["score"] for prediction in answer["predictions"]]
        self.assertEqual(ordered, sorted(ordered, reverse=True))
        for label, score in expected.items():
            self.assertLessEqual(abs(ours[label] - score), TOLERANCE, f"{path}: {label}")

    def check_refusal(self, result, status, message):
        self.assertIsInstance(result, tuple, repr(result))
        self.assertEqual(result[0], status, result[1])
        self.assertEqual(list(result[1]), ["error"])
        self.assertTrue(result[1]["error"].startswith(message), result[1])
        self.assertNotIn("\n", result[1]["error"])

    def test_load(self):
        """2,000 requests of 16 clients, a tenth of them no images."""
        server = self.server()
        chance = random.Random(2)
        plan = [("bad", chance.choice(list(self.bad_images))) if chance.random() < 0.1
                else ("good", chance.choice(list(self.images))) for _ in range(REQUESTS)]
        latencies = []

        def ask(item):
            kind, name = item
            start = time.monotonic()
            result = server.classify((self.images if kind == "good" else self.bad_images)[name])
            latencies.append(time.monotonic() - start)
            return result

        start = time.monotonic()
        results = side_by_side(CLIENTS, ask, plan)
        seconds = time.monotonic() - start
        for (kind, name), result in zip(plan, results, strict=True):
            if kind == "good":
                self.check_answer(name, result)
            else:
                self.check_refusal(result, 400, "[image] request: ")
        good = sum(kind == "good" for kind, _ in plan)
        metrics, sizes = server.metrics(), server.batch_sizes()
        self.assertEqual(metrics['serve_requests_total{code="200"}'], good)
        self.assertEqual(metrics['serve_requests_total{code="400"}'], REQUESTS - good)
        self.assertEqual(metrics["serve_batch_size_sum"], good)
        server.signal()
        self.assertEqual(server.finish(), {200: good, 400: REQUESTS - good})
        latencies.sort()
        print(f"{REQUESTS} requests of {CLIENTS} clients: {REQUESTS / seconds:.0f} a second, "
              f"p50 {latencies[len(latencies) // 2] * 1e3:.1f} ms, "
              f"p99 {latencies[len(latencies) * 99 // 100] * 1e3:.1f} ms; "
              f"pictures in a batch: {sizes}")

    def test_full_batches(self):
        """Batches form for certain when requests wait for each other as long as it takes."""
        server = self.server("--workers", 1, "--max-batch", 5, "--max-wait-ms", DEADLINE)
        names = random.Random(3).sample(list(self.images), 20)
        results = side_by_side(5, lambda name: server.classify(self.images[name]), names)
        for name, result in zip(names, results, strict=True):
            self.check_answer(name, result)
        self.assertEqual(server.batch_sizes(), {5: 4})

    def test_full_queue_and_shutdown(self):
        """Four requests wait for four more; the queue has no room for them. SIGTERM answers the
        four."""
        server = self.server("--workers", 1, "--max-batch", 8, "--queue", 4, "--max-wait-ms",
                             DEADLINE)
        names = list(self.images)[:4]
        results = []
        clients = threading.Thread(target=lambda: results.extend(
            side_by_side(4, lambda name: server.classify(self.images[name]), names)))
        clients.start()
        try:
            server.wait_for_queue(4)
            status, headers, body = server.request("POST", "/classify", self.images[names[0]])
            self.check_refusal((status, json.loads(body)), 503, "[serve] queue: full.")
            self.assertEqual(headers["Retry-After"], "1")
            self.assertEqual(server.request("GET", "/healthz")[0], 200)
        finally:
            server.signal()
            clients.join()
        for name, result in zip(names, results, strict=True):
            self.check_answer(name, result)
        self.assertEqual(server.finish(), {200: 4, 503: 1})

    def test_back_pressure(self):
        """16 clients of a server with room for two; who is sent away comes again."""
        server = self.server("--queue", 2, "--max-batch", 2)
        refusals = []

        def ask(name):
            while True:
                status, answer = server.classify(self.images[name])
                if status != 503:
                    return status, answer
                refusals.append(answer["error"])
                time.sleep(0.002)

        names = random.Random(4).choices(list(self.images), k=400)
        for name, result in zip(names, side_by_side(CLIENTS, ask, names), strict=True):
            self.check_answer(name, result)
        self.assertLessEqual(set(refusals), {"[serve] queue: full. Try again later."})
        server.signal(signal.SIGINT)
        answers = server.finish()
        self.assertEqual((answers[200], answers.get(503, 0)), (400, len(refusals)))
        print(f"400 requests of {CLIENTS} clients to a queue of 2: sent away {len(refusals)} times")

    def test_shutdown_under_load(self):
        """All requests that the server took are answered, and answered right."""
        server = self.server()
        answered, enough = [], threading.Event()

        def client(number):
            chance = random.Random(number)
            while True:
                name = chance.choice(list(self.images))
                try:
                    answered.append((name, server.classify(self.images[name])))
                except ConnectionError:
                    return  # not accepted; an answer cut short raises something else
                except Exception as error:
                    answered.append((name, error))
                if len(answered) >= 200:
                    enough.set()

        clients = [threading.Thread(target=client, args=(i,)) for i in range(CLIENTS)]
        for thread in clients:
            thread.start()
        try:
            self.assertTrue(enough.wait(PATIENCE))
        finally:
            server.signal()
            for thread in clients:
                thread.join()
        for name, result in answered:
            self.check_answer(name, result)
        self.assertEqual(server.finish(), {200: len(answered)})

    def test_a_silent_client_does_not_hold_the_server(self):
        server = self.server()
        with socket.create_connection(("127.0.0.1", server.port)):
            self.assertEqual(server.classify(next(iter(self.images.values())))[0], 200)
            server.signal()
            self.assertEqual(server.finish(), {200: 1})

    def test_requests(self):
        server = self.server("--max-body-kib", 64)
        name, image = next(iter(self.images.items()))
        self.assertEqual(server.request("GET", "/healthz")[2], b'{"status":"ok"}\n')
        status, answer = server.classify(image, query="?top_k=3")
        self.assertEqual((status, len(answer["predictions"])), (200, 3))
        self.assertEqual(set(answer["predictions"][0]), {"id", "label", "score"})
        self.assertEqual(len(server.classify(image, query="")[1]["predictions"]), 5)
        self.check_answer(name, server.classify(image, headers={"X-Deadline-Ms": "10000"}))
        self.check_answer(name, server.classify([image[:99], image[99:]], encode_chunked=True,
                                                headers={"Transfer-Encoding": "chunked"}))
        for value in ("0", "x", "", "-1", "99999999999999999999"):
            query = "?top_k=" + value
            self.check_refusal(server.classify(image, query), 400, "[serve] top_k: expected ")
        for value in ("-1", "soon", str(DEADLINE + 1)):
            self.check_refusal(server.classify(image, headers={"X-Deadline-Ms": value}), 400,
                               "[serve] X-Deadline-Ms: expected ")
        self.check_refusal(server.classify(image, headers={"X-Deadline-Ms": "0"}), 504,
                           "[serve] deadline: passed")
        large = bytes(65 * 1024)
        self.check_refusal(server.classify(large), 413,
                           "[serve] body: expected at most 65536 bytes")
        self.check_refusal(server.classify([large[:40000], large[40000:]], encode_chunked=True,
                                           headers={"Transfer-Encoding": "chunked"}), 413,
                           "[serve] body: expected at most 65536 bytes")
        form = {"Content-Type": "multipart/form-data; boundary=x"}
        self.check_refusal(server.classify(b"--x\r\n\r\n\r\n--x--\r\n", headers=form), 415,
                           "[serve] body: expected an image file, got a form.")
        for method, path in (("GET", "/"), ("GET", "/classify"), ("POST", "/"),
                             ("PUT", "/classify")):
            status, _, body = server.request(method, path, None if method == "GET" else b"")
            self.check_refusal((status, json.loads(body)), 404, f"[serve] {method} {path}: ")
        for name, bad in self.bad_images.items():
            self.check_refusal(server.classify(bad), 400, "[image] request: ")

    def test_another_model(self):
        server = Server(self, self.export(CONVNEXT))
        path = str(next(DIGITS.glob("*label-7.png")))
        status, answer = server.classify(self.images[path], query="?top_k=1")
        self.assertEqual((status, answer["predictions"][0]["label"]), (200, "7"))

    def test_errors_at_start(self):
        program, model = EXAMPLES / "serve", self.export(DINAT)
        result = run(program, "--model", model)
        self.assertEqual(result.returncode, 2)
        self.assertIn("--trust-code", result.stderr)
        self.assertEqual(result.stderr.count("\n"), 1)
        for damaged in self.damaged_models(model):
            result = run(program, "--trust-code", "--model", damaged)
            self.check_failure(result, 1, "[")
            self.assertIn(str(damaged), result.stderr)
        self.check_failure(run(program, "--trust-code", "--model", model, "--max-batch", 0), 2,
                           "[usage] --max-batch: ")
        port = self.server().port
        self.check_failure(run(program, "--trust-code", "--model", model, "--port", port), 2,
                           f"[serve] --port: expected a port that is free on 127.0.0.1, got {port}")
        # Without an image processor there is nothing to turn a photo into numbers with.
        bare = self.folder / "bare"
        shutil.copytree(DINAT, bare)
        os.remove(bare / "preprocessor_config.json")
        self.check_failure(run(program, "--trust-code", "--model", self.export(bare)), 1,
                           "[checkpoint] ")


if __name__ == "__main__":
    unittest.main(verbosity=2)
