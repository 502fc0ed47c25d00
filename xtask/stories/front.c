// Story S5, the front end: it hands each request on to a back end, and to the next one if that gives no answer.
// In: its address, its port, the back ends' addresses. Out: the back end's answer, or 502.

#include <stdio.h>
#include <string.h>

#include "loopback.h"

static const char *own, *port;

// Asks one back end; how many bytes it answered.
__attribute__((noinline)) static long ask(const char *back_end, const char *request, size_t length, char *reply, size_t room) {
    struct sockaddr_in from = at(own, "0"), to = at(back_end, port);
    int yes = 1, server = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(server, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &yes, sizeof yes);
    long got = -1;
    if (!bind(server, (struct sockaddr *)&from, sizeof from) && !connect(server, (struct sockaddr *)&to, sizeof to) &&
        write(server, request, length) > 0)
        got = read(server, reply, room);
    close(server);
    return got;
}

__attribute__((noinline)) static void answer(int client, char **back_ends, int count) {
    static int next;
    char request[1024], reply[1024];
    long length = read(client, request, sizeof request);
    if (length <= 0) return;
    long got = -1;
    for (int tried = 0; tried < count && got <= 0; tried++)
        got = ask(back_ends[next++ % count], request, (size_t)length, reply, sizeof reply);
    if (got <= 0) got = snprintf(reply, sizeof reply, "HTTP/1.1 502 Bad Gateway\r\n\r\n");
    if (write(client, reply, (size_t)got) < 0) return;
}

int main(int count, char **words) {
    if (count < 4) return 2;
    own = words[1], port = words[2];
    int listener = listen_at(own, port);
    for (;;) {
        int client = accept(listener, 0, 0);
        if (client < 0) continue;
        answer(client, words + 3, count - 3);
        close(client);
    }
}
