"""A running server of the example `serve`, and clients of it."""

import http.client
import json
import queue
import re
import signal
import subprocess
import tempfile
import threading
import time

from support import EXAMPLES

# No test expects anything within this time; it ends a test whose server hangs.
PATIENCE = 300


class Server:
    """Listens on a port that is free. It is ended with the test, however that goes."""

    def __init__(self, test, model, *options):
        self.errors = tempfile.TemporaryFile("w+")
        test.addCleanup(self.errors.close)
        self.process = subprocess.Popen(
            [EXAMPLES / "serve", "--trust-code", "--model", model, "--port", "0",
             *map(str, options)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.errors, text=True)
        test.addCleanup(self.process.stdout.close)
        test.addCleanup(self.end)
        self.test = test
        line = self.process.stdout.readline()
        address = re.fullmatch(r"listening on http://127\.0\.0\.1:(\d+)\n", line)
        test.assertIsNotNone(address, line + self.error_text())
        self.port = int(address[1])

    def error_text(self):
        self.errors.seek(0)
        return self.errors.read()

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def signal(self, number=signal.SIGTERM):
        self.process.send_signal(number)

    def finish(self):
        """Waits for the end that a signal asked for; returns the answers given, by status."""
        output, _ = self.process.communicate(timeout=PATIENCE)
        self.test.assertEqual((self.process.returncode, self.error_text()), (0, ""))
        self.test.assertRegex(output, r"\Astopped; answers: (\d+: \d+(, )?)*\n\Z")
        return {int(code): int(count) for code, count in re.findall(r"(\d+): (\d+)", output)}

    def request(self, method, path, body=None, headers=None, **options):
        """Status, headers and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request(method, path, body, headers or {}, **options)
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        finally:
            connection.close()

    def classify(self, image, query="?top_k=10", headers=None, **options):
        """Status and the object of the answer."""
        status, _, body = self.request("POST", "/classify" + query, image, headers, **options)
        return status, json.loads(body)

    def metrics(self):
        status, _, body = self.request("GET", "/metrics")
        self.test.assertEqual(status, 200)
        return {name: float(value) for name, value in
                re.findall(r"^(\w\S*) (\S+)$", body.decode(), re.MULTILINE)}

    def wait_for_queue(self, length):
        end = time.monotonic() + PATIENCE
        while self.metrics()["serve_queue_length"] != length:
            self.test.assertLess(time.monotonic(), end, "the queue is not filled")
            time.sleep(0.01)

    def batch_sizes(self):
        """How many batches there were of each size."""
        sizes, before = {}, 0
        for name, count in self.metrics().items():
            size = re.fullmatch(r'serve_batch_size_bucket\{le="(\d+)"\}', name)
            if size:
                sizes[int(size[1])] = int(count) - before
                before = int(count)
        return sizes


def side_by_side(count, work, items):
    """Calls work(item) for all items on `count` threads; returns the results in the items' order.
    What a call raises is its result."""
    todo = queue.SimpleQueue()
    for numbered in enumerate(items):
        todo.put(numbered)
    results = [None] * todo.qsize()

    def loop():
        while True:
            try:
                index, item = todo.get_nowait()
            except queue.Empty:
                return
            try:
                results[index] = work(item)
            except Exception as error:
                results[index] = error

    threads = [threading.Thread(target=loop) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results
