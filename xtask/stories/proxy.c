// Story S3: a server that compresses what it is sent. It believes the length that a request declares.
// In: a port. Out: for `POST` with `Content-Length: N` the compressed body. A request that declares more than it sends makes it
// read behind its buffer, inside of zlib.

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <zlib.h>

#include "loopback.h"

enum { BUFFER = 1 << 16, HEADER = 4096 };

static unsigned char *input;
static unsigned char output[1 << 17];

__attribute__((noinline)) static unsigned long compress_body(unsigned char *body, unsigned long declared) {
    z_stream stream = {.next_in = body, .avail_in = (unsigned)declared, .next_out = output, .avail_out = sizeof output};
    if (deflateInit(&stream, 6) != Z_OK) return 0;
    deflate(&stream, Z_FINISH);
    unsigned long length = stream.total_out;
    deflateEnd(&stream);
    return length;
}

__attribute__((noinline)) static void answer(int client) {
    long got = read(client, input, BUFFER - 1);
    if (got <= 0) return;
    input[got < HEADER ? got : HEADER] = 0;
    const char *length = strstr((char *)input, "Content-Length: ");
    const char *end = strstr((char *)input, "\r\n\r\n");
    if (!length || !end) return;
    // The fault: nobody compares this with what has come.
    unsigned long declared = strtoul(length + 16, 0, 10);
    unsigned long compressed = compress_body((unsigned char *)end + 4, declared);
    char head[128];
    int size = snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %lu\r\n\r\n", compressed);
    if (write(client, head, (size_t)size) > 0 && write(client, output, compressed) < 0) return;
}

__attribute__((noinline)) static void serve(int listener) {
    for (;;) {
        int client = accept(listener, 0, 0);
        if (client < 0) continue;
        answer(client);
        close(client);
    }
}

int main(int count, char **words) {
    if (count != 2) return 2;
    // Behind the buffer nothing is mapped, as behind the last page of a heap.
    input = mmap(0, BUFFER + (1 << 20), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (input == MAP_FAILED || mprotect(input, BUFFER, PROT_READ | PROT_WRITE)) return 1;
    serve(listen_at("127.0.0.1", words[1]));
}
