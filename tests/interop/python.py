"""python-socketio, sync and asyncio, against the conformance fixture: FIXTURE=path python.py [case]

Not here: what js.mjs already asks of a client; this is the second opinion on the same wire.
Every program started here is stopped by its pid; the last line counts.
"""

import asyncio
import logging
import os
import queue
import random
import signal
import socket as tcp
import subprocess
import sys
import threading
import time
import traceback

import socketio

WAIT_S = 10
TRANSPORTS = {
    "polling": ["polling"],
    "websocket": ["websocket"],
    "upgrade": ["polling", "websocket"],
}
# This client queues its DISCONNECT and close packets and stops its writer without waiting for them:
# the server may hear of the end only by a closed connection, or while polling by a missing pong.
GOODBYE = ["client namespace disconnect", "transport close", "transport error", "ping timeout"]
# Such a client returns only when its pending poll is answered, so pings come often.
PINGS = {"FX_PING_INTERVAL": "1000", "FX_PING_TIMEOUT": "5000"}
DEEP = {"ü": ["漢字 🦀", {"b": [b"\x00\x01\xff", [b""]]}], "n": [1, 2.5, None, True]}


# ---- the program under test --------------------------------------------------------------------


def free_port():
    first, last = map(int, os.environ.get("INTEROP_PORTS", "20000-29999").split("-"))
    for _ in range(200):
        port = random.randint(first, last)
        with tcp.socket() as probe:
            probe.setsockopt(tcp.SOL_SOCKET, tcp.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError(f"no free port in {first}-{last}")


class Fixture:
    """The program at FIXTURE, listening once the constructor returns."""

    def __init__(self, **env):
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.said = ""
        self.process = subprocess.Popen(
            [os.environ["FIXTURE"]],
            env={**os.environ, **env, "FX_PORT": str(port)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        listening = threading.Event()
        threading.Thread(target=self._drain, args=(listening,), daemon=True).start()
        if not listening.wait(5) or not self.alive:
            raise RuntimeError(f"the fixture does not listen: {self.said}")

    def _drain(self, listening):
        for line in self.process.stdout:
            self.said = (self.said + line)[-4000:]
            if line.startswith("listening on "):
                listening.set()
        self.process.wait()
        listening.set()

    @property
    def alive(self):
        return self.process.poll() is None

    def stop(self):
        self.process.kill()
        self.process.wait()


class Refused(Exception):
    """Not let in: args are the client's words, then what each CONNECT_ERROR carried."""


# ---- sync client -------------------------------------------------------------------------------


class Inbox:
    """A sync client that keeps what it is told, in order."""

    def __init__(self, url, transports, namespaces=("/",), auth=None):
        self.client = socketio.Client(reconnection=False)
        # The client starts a thread for every packet, which may swap them (even an attachment and
        # its header). Here they are handled where they are read.
        trigger = self.client.eio._trigger_event
        self.client.eio._trigger_event = lambda event, *args, **options: trigger(
            event, *args, **{**options, "run_async": False}
        )
        self.events = queue.Queue()
        self.kept = []
        refused = []
        for namespace in namespaces:
            self.client.on("*", self._heard(namespace), namespace=namespace)
            self.client.on("disconnect", self._left(namespace), namespace=namespace)
            self.client.on("connect_error", refused.append, namespace=namespace)
        try:
            self.client.connect(
                url,
                transports=transports,
                namespaces=list(namespaces),
                auth=auth,
                wait_timeout=WAIT_S,
            )
        except socketio.exceptions.ConnectionError as error:
            raise Refused(str(error), *refused) from None

    def _heard(self, namespace):
        return lambda event, *args: self.events.put((namespace, event, list(args)))

    def _left(self, namespace):
        return lambda reason: self.events.put((namespace, "disconnect", [reason]))

    def wait(self, event, namespace="/"):
        """The arguments of the next such event; others are kept for later calls."""
        deadline = time.monotonic() + WAIT_S
        while True:
            for i, (where, name, args) in enumerate(self.kept):
                if (where, name) == (namespace, event):
                    del self.kept[i]
                    return args
            try:
                left = max(deadline - time.monotonic(), 0.001)
                self.kept.append(self.events.get(timeout=left))
            except queue.Empty:
                raise AssertionError(f"no {event!r} in {namespace} within {WAIT_S} s") from None

    def nothing(self, event, namespace="/"):
        """Asserts that no such event has come; a round trip before makes that a proof."""
        while not self.events.empty():
            self.kept.append(self.events.get())
        assert not [e for e in self.kept if e[:2] == (namespace, event)], self.kept

    def emit(self, event, *args, namespace="/"):
        self.client.emit(event, args, namespace=namespace)

    def call(self, event, *args, namespace="/"):
        return self.client.call(event, args, namespace=namespace, timeout=WAIT_S)

    def settle(self):
        """A round trip: what the server sent before has arrived when it returns."""
        assert self.call("message-with-ack", "settle") == "settle"

    def close(self):
        self.client.disconnect()
        self.client.shutdown()


def upgraded(inbox, transports):
    """Waits for the upgrade if there is to be one, and checks the transport on both sides."""
    expected = transports[-1]
    until(lambda: inbox.client.transport() == expected)
    assert inbox.call("transport") == expected


def until(probe):
    deadline = time.monotonic() + WAIT_S
    while not (value := probe()):
        assert time.monotonic() < deadline, f"not within {WAIT_S} s"
        time.sleep(0.01)
    return value


def connects(open_, transports):
    inbox = open_(auth={"token": "abc", "ü": [1]})
    assert inbox.wait("auth") == [{"token": "abc", "ü": [1]}]
    upgraded(inbox, transports)
    assert open_().wait("auth") == [{}]


def events_come_back(open_, _):
    inbox = open_()
    lists = [[], ["text"], ["漢字 🦀 \u2028"], [1, -2.5, None, True, False], [{}], [[]], [DEEP]]
    for args in [*lists, ["x" * 100_000], ["", {"": ""}]]:
        inbox.emit("message", *args)
        assert inbox.wait("message-back") == args


def binary_comes_back(open_, _):
    inbox = open_()
    for args in [[b""], [bytes(range(256))], ["a", b"b", {"c": [b"d"]}, DEEP], [b"\x07" * 100_000]]:
        inbox.emit("message", *args)
        assert inbox.wait("message-back") == args


def acks(open_, _):
    inbox = open_()
    assert inbox.call("message-with-ack") is None
    assert inbox.call("message-with-ack", "one") == "one"
    assert inbox.call("message-with-ack", 1, b"zwei", DEEP) == (1, b"zwei", DEEP)
    assert inbox.call("double-ack") == 1
    inbox.client.on("ask", lambda *args: ("answer", *args))
    inbox.emit("ask", "question", b"bin")
    assert inbox.wait("answer") == ["answer", "question", b"bin"]
    inbox.emit("ask-timeout", 5000)
    assert inbox.wait("answer-timeout") == ["ok", "answer"]


def namespaces(open_, _):
    inbox = open_(namespaces=["/", "/custom"], auth={"k": 1})
    assert inbox.wait("auth") == [{"k": 1}]
    assert inbox.wait("auth", namespace="/custom") == [{"k": 1}]
    assert inbox.client.get_sid("/") != inbox.client.get_sid("/custom")
    inbox.emit("message", b"here", namespace="/custom")
    assert inbox.wait("message-back", namespace="/custom") == [b"here"]
    inbox.emit("all", "custom only", namespace="/custom")
    assert inbox.wait("bcast", namespace="/custom") == ["custom only"]
    inbox.settle()
    inbox.nothing("bcast")


def refusals(open_, _):
    for namespace, why in [("/unknown", "Invalid namespace"), ("/mw-auth", "unauthorized")]:
        try:
            open_(namespaces=[namespace])
        except Refused as refused:
            assert refused.args[1:] == ({"message": why},), refused
        else:
            raise AssertionError(f"{namespace} let us in")
    inbox = open_(namespaces=["/mw-auth"], auth={"token": "secret"})
    assert inbox.wait("auth", namespace="/mw-auth") == [{"token": "secret"}]


def rooms(open_, _):
    a, b, c = open_(), open_(), open_()
    for inbox, room in [(a, "x"), (a, "y"), (b, "x"), (c, "y")]:
        inbox.call("join", room)
    assert a.call("rooms") == ["x", "y"]
    a.emit("to", "x", "others of x", b"bin")
    a.emit("to-except", "y", "x", "y without x")
    a.emit("in", ["x", "y"], "once each")
    for inbox, expected in [
        (a, ["once each"]),
        (b, ["others of x", b"bin"]),
        (b, ["once each"]),
        (c, ["y without x"]),
        (c, ["once each"]),
    ]:
        assert inbox.wait("room-msg") == expected
    a.emit("broadcast", "hello")
    for inbox in [b, c]:
        assert inbox.wait("bcast") == ["hello"]
    for inbox in [a, b, c]:
        inbox.settle()
        inbox.nothing("room-msg")
        inbox.nothing("bcast")


def client_disconnects(open_, _):
    witness, inbox, polite = open_(), open_(), open_()
    sid = inbox.client.get_sid()
    inbox.client.disconnect()
    assert inbox.wait("disconnect") == ["client disconnect"]
    reason = until(lambda: witness.call("reason-of", sid))
    assert reason in GOODBYE, reason
    sid = polite.client.get_sid()
    polite.client.eio.send("1")  # DISCONNECT, with nothing behind it
    reason = until(lambda: witness.call("reason-of", sid))
    assert reason == "client namespace disconnect", reason


def server_disconnects(open_, _):
    witness = open_()
    for event, reasons in [
        ("bye", ["server namespace disconnect"]),
        ("bye-all", ["server namespace disconnect"]),
        ("close-conn", ["forced close", "forced server close"]),
    ]:
        inbox = open_()
        sid = inbox.client.get_sid()
        inbox.emit(event)
        inbox.wait("disconnect")
        reason = until(lambda: witness.call("reason-of", sid))
        assert reason in reasons, (event, reason)


def last_words(open_, _):
    inbox = open_()
    inbox.emit("emit-then-bye", "so long", b"thanks")
    assert inbox.wait("last-words") == ["so long", b"thanks"]
    inbox.wait("disconnect")


def a_thousand_in_order(open_, transports):
    inbox = open_()
    inbox.emit("flood", 1000, 20)
    for i in range(1000):
        inbox.emit("message", i)
    for i in range(1000):
        assert inbox.wait("flood") == [i, "x" * 20]
    for i in range(1000):
        assert inbox.wait("message-back") == [i]
    upgraded(inbox, transports)


def more_packets_than_a_payload_takes(open_, _):
    # python-engineio refuses a payload of more than 16 packets, so the server must split.
    for count in [7, 8, 9, 200]:
        inbox = open_()
        inbox.emit("burst-binary", count, 50)
        inbox.emit("flood", 2 * count, 5)
        for i in range(count):
            assert inbox.wait("bin") == [i, bytes([i & 255]) * 50]
        for i in range(2 * count):
            assert inbox.wait("flood") == [i, "xxxxx"]
        inbox.settle()


SYNC = [
    connects,
    events_come_back,
    binary_comes_back,
    acks,
    namespaces,
    refusals,
    rooms,
    client_disconnects,
    server_disconnects,
    last_words,
    a_thousand_in_order,
    more_packets_than_a_payload_takes,
]


def run_sync(case, fixture, transports):
    opened = []

    def open_(**options):
        opened.append(Inbox(fixture.url, transports, **options))
        return opened[-1]

    try:
        case(open_, transports)
    finally:
        for inbox in opened:
            inbox.close()


# ---- asyncio client ----------------------------------------------------------------------------


class AsyncInbox:
    """An asyncio client whose events arrive in one queue, in order."""

    @classmethod
    async def open(cls, url, transports, namespaces=("/",), auth=None):
        self = cls()
        self.client = socketio.AsyncClient(reconnection=False)
        self.events = asyncio.Queue()
        self.kept = []
        refused = []
        for namespace in namespaces:
            self.client.on("*", self._heard(namespace), namespace=namespace)
            self.client.on("disconnect", self._left(namespace), namespace=namespace)
            self.client.on("connect_error", refused.append, namespace=namespace)
        try:
            await self.client.connect(
                url,
                transports=transports,
                namespaces=list(namespaces),
                auth=auth,
                wait_timeout=WAIT_S,
            )
        except socketio.exceptions.ConnectionError as error:
            raise Refused(str(error), *refused) from None
        return self

    def _heard(self, namespace):
        return lambda event, *args: self.events.put_nowait((namespace, event, list(args)))

    def _left(self, namespace):
        return lambda reason: self.events.put_nowait((namespace, "disconnect", [reason]))

    async def wait(self, event, namespace="/"):
        for i, (where, name, args) in enumerate(self.kept):
            if (where, name) == (namespace, event):
                del self.kept[i]
                return args
        while True:
            where, name, args = await asyncio.wait_for(self.events.get(), WAIT_S)
            if (where, name) == (namespace, event):
                return args
            self.kept.append((where, name, args))

    async def emit(self, event, *args, namespace="/"):
        await self.client.emit(event, args, namespace=namespace)

    async def call(self, event, *args, namespace="/"):
        return await self.client.call(event, args, namespace=namespace, timeout=WAIT_S)


async def async_round_trips(open_, transports):
    inbox = await open_(auth={"token": "abc"})
    assert await inbox.wait("auth") == [{"token": "abc"}]
    for args in [[], ["🦀", 1], [DEEP, b"bin"], [b"\x01" * 200_000]]:
        await inbox.emit("message", *args)
        assert await inbox.wait("message-back") == args
    assert await inbox.call("message-with-ack", 1, b"zwei") == (1, b"zwei")
    inbox.client.on("ask", lambda *args: ("answer", *args))
    await inbox.emit("ask", b"question")
    assert await inbox.wait("answer") == ["answer", b"question"]
    for _ in range(500):
        if inbox.client.transport() == transports[-1]:
            break
        await asyncio.sleep(0.01)
    assert await inbox.call("transport") == transports[-1]


async def async_calls_in_flight(open_, _):
    inbox = await open_()
    calls = [inbox.call("message-with-ack", i) for i in range(100)]
    assert await asyncio.gather(*calls) == list(range(100))


async def async_namespaces(open_, _):
    inbox = await open_(namespaces=["/", "/custom"])
    await inbox.emit("message", "there", namespace="/custom")
    assert await inbox.wait("message-back", namespace="/custom") == ["there"]
    assert await inbox.call("message-with-ack", "here") == "here"
    try:
        await open_(namespaces=["/mw-error"])
    except Refused as refused:
        data = {"code": 403, "details": ["no", {"token": "please"}]}
        assert refused.args[1:] == ({"message": "not authorized", "data": data},), refused
    else:
        raise AssertionError("/mw-error let us in")


async def async_rooms(open_, _):
    a, b = await open_(), await open_()
    for inbox in [a, b]:
        await inbox.call("join", "x")
    await a.emit("to", "x", "to b", b"1")
    await a.emit("in", ["x", "y"], "to both")
    assert await b.wait("room-msg") == ["to b", b"1"]
    assert await b.wait("room-msg") == ["to both"]
    assert await a.wait("room-msg") == ["to both"]


async def async_disconnects(open_, _):
    witness = await open_()
    ended = ["server namespace disconnect"]
    for event, expected in [(None, GOODBYE), ("bye", ended), ("bye-all", ended)]:
        inbox = await open_()
        sid = inbox.client.get_sid()
        if event:
            await inbox.emit(event)
        else:
            await inbox.client.disconnect()
        await inbox.wait("disconnect")
        deadline = time.monotonic() + WAIT_S
        while not (reason := await witness.call("reason-of", sid)):
            assert time.monotonic() < deadline, f"no reason after {event}"
            await asyncio.sleep(0.01)
        assert reason in expected, (event, reason)


async def async_a_thousand_in_order(open_, _):
    inbox = await open_()
    await inbox.emit("flood", 1000, 20)
    await inbox.emit("burst-binary", 300, 50)
    for i in range(1000):
        await inbox.emit("message", i)
    for i in range(1000):
        assert await inbox.wait("flood") == [i, "x" * 20]
    for i in range(300):
        assert await inbox.wait("bin") == [i, bytes([i & 255]) * 50]
    for i in range(1000):
        assert await inbox.wait("message-back") == [i]


ASYNC = [
    async_round_trips,
    async_calls_in_flight,
    async_namespaces,
    async_rooms,
    async_disconnects,
    async_a_thousand_in_order,
]


def run_async(case, fixture, transports):
    async def body():
        opened = []

        async def open_(**options):
            opened.append(await AsyncInbox.open(fixture.url, transports, **options))
            return opened[-1]

        try:
            await asyncio.wait_for(case(open_, transports), 3 * WAIT_S)
        finally:
            for inbox in opened:
                await inbox.client.disconnect()

    asyncio.run(body())


# ---- the count ---------------------------------------------------------------------------------


def main():
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    if "FIXTURE" not in os.environ:
        sys.exit("FIXTURE must name the fixture program")
    logging.disable(logging.CRITICAL)
    fixture = Fixture(**PINGS)
    # A quick answer to SIGTERM, by way of the `finally` below.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    passed = failed = 0
    try:
        for mode, transports in TRANSPORTS.items():
            for case, run in [(c, run_sync) for c in SYNC] + [(c, run_async) for c in ASYNC]:
                name = f"{mode}: {case.__name__.replace('_', ' ')}"
                if wanted not in name:
                    continue
                began = time.monotonic()
                try:
                    run(case, fixture, transports)
                    if not fixture.alive:
                        said, fixture = fixture.said, Fixture(**PINGS)
                        raise AssertionError(f"the fixture ended: {said}")
                    failure = None
                    passed += 1
                except Exception:
                    failure = traceback.format_exc()
                    failed += 1
                    if not fixture.alive:
                        failure += f"the fixture ended: {fixture.said}"
                        fixture = Fixture(**PINGS)
                ms = int((time.monotonic() - began) * 1000)
                print(f"{'FAILED' if failure else 'ok'} {name} ({ms} ms)", flush=True)
                if failure:
                    print("    " + failure.replace("\n", "\n    "), flush=True)
    finally:
        fixture.stop()
    print(f"{passed} passed, {failed} failed, 0 skipped", flush=True)
    # Threads of a client that a failed case left behind must not keep the process.
    os._exit(1 if failed or not passed else 0)


main()
