#!/usr/bin/env python3
"""py_accept_died.py sick|healthy: a threaded server whose accept loop does not survive a bad request."""
import socket, sys, threading

sick = sys.argv[1] == "sick"
listener = socket.create_server(("127.0.0.1", 8080), backlog=16)


def serve():
    while True:
        fd, _ = listener.accept()
        with fd:
            try:
                int(fd.recv(100))
                fd.sendall(b"ok\n")
            except ValueError:
                if sick:
                    raise  # the bug is this line: the exception ends the thread, the process lives on


threading.excepthook = lambda args: None
threading.Thread(target=serve, daemon=True).start()
print("UP", flush=True)
threading.Event().wait()
