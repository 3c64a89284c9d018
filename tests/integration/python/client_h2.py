"""hyper-h2 over one connection: a state machine that raises when its peer breaks a rule.

    python client_h2.py streams ADDRESS COUNT     opens COUNT event streams, cancels every third, reads the others to their end
    python client_h2.py windows ADDRESS LENGTH    downloads and uploads LENGTH bytes through small windows; sends what is tolerated

On standard output, a JSON line for each step. What goes wrong ends it with a traceback and a code other than 0.
"""

import json
import socket
import sys

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.settings
import hyperframe.frame

# Everything here answers at once: this is only there to fail.
DEADLINE = 20
SMALL_WINDOW = 1000


def say(**fields):
    print(json.dumps(fields), flush=True)


def pattern(length):
    return bytes(at % 251 for at in range(length))


class Session:
    def __init__(self, address, window=None):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=DEADLINE)
        config = h2.config.H2Configuration(client_side=True, header_encoding="utf-8")
        self.connection = h2.connection.H2Connection(config)
        self.connection.initiate_connection()
        if window is not None:
            self.connection.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window})
        self.status, self.bodies, self.ended, self.pongs, self.acknowledged = {}, {}, set(), [], 0
        self.flush()

    def flush(self):
        self.socket.sendall(self.connection.data_to_send())

    def ask(self, method, path, end=True, *fields):
        stream = self.connection.get_next_available_stream_id()
        head = [(":method", method), (":scheme", "http"), (":authority", "test"), (":path", path), *fields]
        self.connection.send_headers(stream, head, end_stream=end)
        self.bodies[stream] = b""
        return stream

    def read(self):
        data = self.socket.recv(65536)
        assert data, "the connection was closed"
        for event in self.connection.receive_data(data):
            self.take(event)
        self.flush()

    def take(self, event):
        if isinstance(event, h2.events.ResponseReceived):
            self.status[event.stream_id] = dict(event.headers)[":status"]
        elif isinstance(event, h2.events.DataReceived):
            self.bodies[event.stream_id] += event.data
            self.connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            self.ended.add(event.stream_id)
        elif isinstance(event, h2.events.PingAckReceived):
            self.pongs.append(event.ping_data)
        elif isinstance(event, h2.events.SettingsAcknowledged):
            self.acknowledged += 1
        elif isinstance(event, (h2.events.StreamReset, h2.events.ConnectionTerminated)):
            raise AssertionError(event)

    def until(self, done):
        while not done():
            self.read()

    def body(self, stream):
        self.until(lambda: stream in self.ended)
        assert self.status[stream] == "200", self.status[stream]
        return self.bodies[stream]

    def ping(self, data):
        self.connection.ping(data)
        self.flush()
        self.until(lambda: data in self.pongs)

    def close(self):
        self.connection.close_connection()
        self.flush()
        self.socket.close()


def streams(address, count):
    session = Session(address)
    # The peer says first how many it takes.
    session.until(lambda: session.acknowledged > 0)
    assert session.connection.remote_settings.max_concurrent_streams >= count
    accept = ("accept", "text/event-stream")
    opened = [session.ask("GET", "/events", True, accept) for _ in range(count)]
    session.flush()
    session.until(lambda: all(b"data: a\n\n" in session.bodies[stream] for stream in opened))
    say(open=len(opened))
    cancelled = opened[::3]
    for stream in cancelled:
        session.connection.reset_stream(stream, h2.errors.ErrorCodes.CANCEL)
    session.ping(b"all-read")
    say(cancelled=len(cancelled))
    rest = [stream for stream in opened if stream not in cancelled]
    for stream in rest:
        body = session.body(stream).replace(b":\n\n", b"").replace(b":\n", b"")
        assert body == b"data: a\n\ndata: b\n\n", body
    say(ended=len(rest))
    session.close()


def windows(address, length):
    session = Session(address, SMALL_WINDOW)
    stream = session.ask("GET", "/")
    session.flush()
    body = session.body(stream)
    assert body == pattern(length), "other bytes came down"
    say(downloaded=len(body))
    stream = session.ask("POST", "/", False)
    left = pattern(length)
    while left:
        room = min(session.connection.local_flow_control_window(stream), session.connection.max_outbound_frame_size, len(left))
        if room == 0:
            session.read()
            continue
        session.connection.send_data(stream, left[:room])
        left = left[room:]
        session.flush()
    session.connection.end_stream(stream)
    session.flush()
    assert session.body(stream) == b"taken"
    say(uploaded=length)
    say(tolerated=tolerated(session))
    session.close()


def tolerated(session):
    priority = hyperframe.frame.PriorityFrame(7, depends_on=3, stream_weight=9)
    unknown = extension(0xFA, 0, 0xFF, b"whatever")
    alternative = hyperframe.frame.AltSvcFrame(0, b"test", b'h2=":1"')
    stray = extension(0xFB, 99, 0, b"on a stream that never was")
    frames = [priority, unknown, alternative, stray]
    for number, frame in enumerate(frames):
        session.socket.sendall(frame.serialize())
        session.ping(f"after-{number:02}".encode())
    return len(frames)


def extension(kind, stream, flags, body):
    frame = hyperframe.frame.ExtensionFrame(kind, stream, flag_byte=flags, body=body)
    # It writes a length that only reading one sets.
    frame.body_len = len(body)
    return frame


MODES = {"streams": streams, "windows": windows}
MODES[sys.argv[1]](sys.argv[2], int(sys.argv[3]))
