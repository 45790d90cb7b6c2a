"""Free and busy ports on loopback."""

import socket


def free_port() -> int:
    """A port on 127.0.0.1 that nobody listens on now; another program may take it before you do."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def is_free(host: str, port: int) -> bool:
    """Whether we could listen there now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def answers_kafka(address: str, timeout_s: float = 1.0) -> bool:
    """Whether a broker answers there: it is asked for its API versions (request 18, version 0), as clients do first."""
    host, _, port = address.rpartition(":")
    request = b"\x00\x12\x00\x00\x00\x00\x00\x01\x00\x05ready"  # key 18, version 0, correlation id 1, client id
    try:
        with socket.create_connection((host, int(port)), timeout_s) as connection:
            connection.sendall(len(request).to_bytes(4, "big") + request)
            answer = connection.recv(8)
    except OSError:
        return False
    return len(answer) == 8 and answer[4:] == b"\x00\x00\x00\x01"
