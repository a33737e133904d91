"""A service that answers in all the ways there are, as ASGI and as WSGI."""

import asyncio
import time

ANSWER = b'{"prediction": 1}'
PAUSE = 0.02  # seconds between two pieces


def answer(path, body):
    """Returns status, headers and the body in pieces."""
    if path == "/none":
        return 204, {}, []
    if path == "/chunked":
        return 200, {}, [ANSWER[:5], ANSWER[5:]]
    if path == "/slow":
        return 200, {"Content-Length": str(len(ANSWER))}, [ANSWER[:5], ANSWER[5:9], ANSWER[9:]]
    if path == "/large":
        large = b" " * (1 << 20) + ANSWER
        return 200, {"Content-Length": str(len(large))}, [large]
    if path == "/predict" and body != b'{"features": [1, 2, 3]}':
        return 400, {"Content-Length": "0"}, []
    headers = {"Content-Length": str(len(ANSWER))}
    if path == "/close":
        headers["Connection"] = "close"
    return 200, headers, [ANSWER]


async def asgi(scope, receive, send):
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    status, headers, pieces = answer(scope["path"], body)
    lines = [(k.encode(), v.encode()) for k, v in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": lines})
    for i, piece in enumerate(pieces):
        await asyncio.sleep(PAUSE if i else 0)
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body"})


def wsgi(environ, start_response):
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    status, headers, pieces = answer(environ["PATH_INFO"], body)
    start_response("%d Status" % status, list(headers.items()))
    if environ["REQUEST_METHOD"] == "HEAD":  # gunicorn would send a body
        return
    for i, piece in enumerate(pieces):
        time.sleep(PAUSE if i else 0)
        yield piece
