// Story S4, the library: pictures in C++.

#include "image.h"

#include <chrono>
#include <cstdlib>

class Picture {
public:
    explicit Picture(unsigned side) : side(side), pixels(static_cast<unsigned char *>(std::calloc(side, side))) {}
    // Memory of this size goes back to the kernel at once: whoever reads it then dies.
    ~Picture() { std::free(pixels); }

    __attribute__((noinline)) unsigned row(unsigned at) const {
        unsigned sum = 0;
        for (unsigned x = 0; x < side; x++) sum += static_cast<volatile unsigned char *>(pixels)[at * side + x];
        return sum;
    }

    __attribute__((noinline)) unsigned checksum() const {
        unsigned sum = 0;
        for (unsigned y = 0; y < side; y++) sum += row(y);
        return sum + 1;
    }

private:
    unsigned side;
    unsigned char *pixels;
};

struct image {
    Picture picture;
};

struct image *image_new(unsigned side) { return new image{Picture(side)}; }

void image_free(struct image *image) {
    image->picture.~Picture();
    std::free(image);
}

__attribute__((noinline)) unsigned image_checksum(const struct image *image, unsigned milliseconds) {
    auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(milliseconds);
    const Picture &picture = image->picture;
    unsigned sum = 0;
    do sum += picture.checksum();
    while (std::chrono::steady_clock::now() < end);
    return sum;
}
