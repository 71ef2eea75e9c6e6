"""A reward as a service: python3 service.py [port]. Any web framework does as well."""
import json
import re
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def judged(completion, truth):
    found = re.findall(r"-?\d+", completion)
    if not truth:
        return None  # no opinion
    return {"score": float(bool(found) and found[-1] == truth), "has_number": bool(found)}


class Service(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # connections stay open from call to call
    wbufsize = -1  # an answer goes out in one piece: 40 ms less for each

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = json.dumps([judged(c, t) for c, t in zip(asked["completions"], asked["ground_truths"])]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *arguments):
        pass


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 8000), Service).serve_forever()
