"""A reward service with all that can go wrong, on a free port of 127.0.0.1. Prints the port; ends with its input.

The path says what it does; a score is the length of the completion.
"""
import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

lock = threading.Lock()
counts, now, most = {}, {}, {}  # by path: requests, those under way, the most of them at once


def scores(body):
    if "query" in body:
        return {"rewards": [len(q) - len(p) for q, p in zip(body["query"], body["prompts"])], "extra_logs": {"label": [float(x or 0) for x in body["labels"]]}}
    if "response" in body:
        return len(body["response"])
    return {"scores": [len(c) for c in body["completions"]]}


class Service(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # an answer in one piece

    def log_message(self, *_):
        pass

    def answer(self, value, status=200, headers=()):
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        for name, text in headers:
            self.send_header(name, text)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        try:
            self.wfile.write(data)
        except OSError:
            pass  # the caller did not want it any more

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with lock:
            counts[self.path] = counts.get(self.path, 0) + 1
            turn = counts[self.path]
            now[self.path] = now.get(self.path, 0) + 1
            most[self.path] = max(most.get(self.path, 0), now[self.path])
        try:
            getattr(self, "at_" + self.path.split("?")[0].split("/")[1])(body, turn)
        finally:
            with lock:
                now[self.path] -= 1

    def at_score(self, body, turn):
        self.answer(scores(body))

    def at_list(self, body, turn):
        self.answer([len(c) for c in body["completions"]])

    def at_whole(self, body, turn):  # what it was asked, as the error of its first sample
        self.answer([{"error": json.dumps(body, sort_keys=True)}] + [1] * (len(body["completions"]) - 1))

    def at_headers(self, body, turn):
        self.answer({"score": None, "error": self.headers.get("Authorization", "none") + " " + self.headers["Content-Type"]})

    def at_mixed(self, body, turn):
        n = len(body["completions"])
        self.answer({"scores": [1, None, 0.5, 2][:n], "errors": [None, None, "cannot judge", ""][:n],
                     "components": {"form": [0.25, None, 1, True][:n]}})

    def at_parts(self, body, turn):
        self.answer([{"score": 0.5, "accuracy": 1, "answer": "x"} for _ in body["completions"]])

    def at_flaky(self, body, turn):
        if turn <= 2:
            return self.answer(b"come back later", 503)
        self.answer(scores(body))

    def at_busy(self, body, turn):
        if turn == 1:
            return self.answer(b"", 429, [("Retry-After", "1")])
        self.answer(scores(body))

    def at_hangup(self, body, turn):
        if turn == 1:
            self.close_connection = True
            return self.connection.close()
        self.answer(scores(body))

    def at_broken(self, body, turn):
        self.answer(b"Traceback: no module\n named x", 500)

    def at_refused(self, body, turn):
        self.answer({"error": "no such model"}, 400)

    def at_moved(self, body, turn):
        self.answer(b"", 302, [("Location", "http://127.0.0.1:1/")])

    def at_html(self, body, turn):
        self.answer(b"<html>welcome</html>")

    def at_count(self, body, turn):
        self.answer({"scores": [1.0]})

    def at_texts(self, body, turn):
        self.answer({"scores": ["good"] * len(body["completions"])})

    def at_nothing(self, body, turn):
        self.answer({"result": "ok"})

    def at_huge(self, body, turn):
        self.answer(b"[" + b"1," * 2_000_000 + b"1]")

    def at_slow(self, body, turn):
        time.sleep(30)

    def at_slowly(self, body, turn):
        time.sleep(0.1)
        self.answer(scores(body))

    def at_most(self, body, turn):
        self.answer({"scores": [most["/slowly/" + c] for c in body["completions"]]})


ThreadingHTTPServer.request_queue_size = 256
server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
server.daemon_threads = True
server.handle_error = lambda *_: None  # callers that hang up are what is tested here
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_port, flush=True)
sys.stdin.read()
