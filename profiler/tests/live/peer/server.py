"""A thread for each connection. Tells at the end what CPU time each of them took, by its client."""
import json, signal, socket, sys, threading, time

taken, lock = {}, threading.Lock()

def decode(milliseconds):
    end = time.thread_time_ns() + milliseconds * 1_000_000
    word = 7
    while time.thread_time_ns() < end:
        for _ in range(500):
            word = word * 31 % 1_000_003

def serve(connection, client):
    with connection:
        while True:
            asked = connection.recv(64)
            if not asked:
                break
            decode(asked[0])
            connection.sendall(b"!")
    with lock:
        taken[client] = taken.get(client, 0) + time.thread_time_ns()

def end(*_):
    print(json.dumps(taken), flush=True)
    sys.exit(0)

signal.signal(signal.SIGTERM, end)
listener = socket.create_server(("127.0.0.1", 0), backlog=256)
print(listener.getsockname()[1], flush=True)
while True:
    connection, (client, _) = listener.accept()
    threading.Thread(target=serve, args=(connection, client), daemon=True).start()
