// Pictures as C sees them.

#ifdef __cplusplus
extern "C" {
#endif

struct image;

struct image *image_new(unsigned side);
void image_free(struct image *image);
/// Sums all pixels, again and again for so long.
unsigned image_checksum(const struct image *image, unsigned milliseconds);

#ifdef __cplusplus
}
#endif
