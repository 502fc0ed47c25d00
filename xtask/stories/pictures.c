// Story S5, a back end: it draws a picture of the size that a request asks for.
// In: an address, a port. Out: for `GET /picture/WIDTHxHEIGHT` a number made from all its pixels. A picture of 65536 by 65536 has a size that is 0 in 32
// bits: it draws behind what it has allocated.

#include <stdio.h>
#include <string.h>

#include "loopback.h"

__attribute__((noinline)) static unsigned draw(unsigned char *pixels, unsigned width, unsigned height) {
    unsigned sum = 0;
    for (unsigned y = 0; y < height; y++)
        for (unsigned x = 0; x < width; x++) {
            unsigned long at = (unsigned long)y * width + x;
            pixels[at] = (unsigned char)(x * y);
            sum += pixels[at];
        }
    return sum;
}

__attribute__((noinline)) static unsigned render(unsigned width, unsigned height) {
    // The fault: the product has no room in 32 bits.
    unsigned bytes = width * height;
    unsigned char *pixels = malloc(bytes);
    unsigned sum = draw(pixels, width, height);
    free(pixels);
    return sum;
}

__attribute__((noinline)) static void answer(int client) {
    char request[1024] = {0}, reply[128];
    unsigned width, height;
    if (read(client, request, sizeof request - 1) <= 0) return;
    if (sscanf(request, "GET /picture/%ux%u", &width, &height) != 2) return;
    int size = snprintf(reply, sizeof reply, "HTTP/1.1 200 OK\r\n\r\n%u\n", render(width, height));
    if (write(client, reply, (size_t)size) < 0) return;
}

int main(int count, char **words) {
    if (count != 3) return 2;
    int listener = listen_at(words[1], words[2]);
    for (;;) {
        int client = accept(listener, 0, 0);
        if (client < 0) continue;
        answer(client);
        close(client);
    }
}
