"""Requests for faces that are not there yet, many at once, each timed."""

import asyncio
import time


def latencies(peer, numbers, length, in_flight, within=0):
    """Seconds that each picture took, with that many connections, each opened before the first request.

    The first requests of all are spread over `within` seconds."""
    paths = [peer.path(number, length) for number in numbers]
    return asyncio.run(_latencies(peer, paths, in_flight, within))


async def _latencies(peer, paths, in_flight, within):
    gate = asyncio.Semaphore(200)
    connections = await asyncio.gather(*(_connect(peer.port, gate) for _ in range(in_flight)))
    waiting, took = list(reversed(paths)), []

    async def work(at, reader, writer):
        await asyncio.sleep(within * at / in_flight)
        while waiting:
            request = f"GET {waiting.pop()} HTTP/1.1\r\nhost: localhost\r\n\r\n"
            began = time.monotonic()
            writer.write(request.encode())
            head = await reader.readuntil(b"\r\n\r\n")
            fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if line)
            await reader.readexactly(int(fields[b"content-length"]))
            took.append(time.monotonic() - began)
            is_picture = fields.get(b"x-faceplate-source", b"picture") == b"picture"
            if not head.startswith(b"HTTP/1.1 200") or not is_picture:
                raise SystemExit(f"{peer.name}: no picture: {head.decode()}")
        writer.close()

    await asyncio.gather(*(work(at, *connection) for at, connection in enumerate(connections)))
    return took


async def _connect(port, gate):
    async with gate:
        return await asyncio.open_connection("127.0.0.1", port)
