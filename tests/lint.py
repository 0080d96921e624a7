"""Checks the responses of HTTP exchanges, a JSON list on standard input, with httplint.

Prints a line for every finding; exits 1 if one of them is bad.
"""

import base64
import json
import sys

from httplint import HttpRequestLinter, HttpResponseLinter
from httplint.note import levels


def fields(pairs):
    return [(name.encode(), value.encode()) for name, value in pairs]


def judge(exchange):
    request = HttpRequestLinter()
    request.process_request_topline(exchange["method"].encode(), exchange["url"].encode(), b"1.1")
    request.process_headers(fields(exchange["sent"]))
    request.finish_content(True)
    response = HttpResponseLinter()
    response.request = request
    response.is_head_response = exchange["method"] == "HEAD"
    response.process_response_topline(b"1.1", str(exchange["status"]).encode(), b"")
    response.process_headers(fields(exchange["headers"]))
    response.feed_content(base64.b64decode(exchange["body"]))
    response.finish_content(True)
    return response.notes


def is_said_on_purpose(exchange, note):
    """Whether the note reports an error that the test provoked."""
    return note.subject in ("", "uri") and exchange["status"] >= 400


def main():
    bad = 0
    for exchange in json.load(sys.stdin):
        for note in judge(exchange):
            if note.level not in (levels.BAD, levels.WARN) or is_said_on_purpose(exchange, note):
                continue
            bad += note.level is levels.BAD
            asked = f"{exchange['method']} {exchange['url'][:80]} ({exchange['status']})"
            print(f"{note.level.value}: {asked}: {note.subject}: {note.summary}")
    sys.exit(1 if bad else 0)


main()
