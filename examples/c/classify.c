/* Says what is in an image: classify NET.bw IMAGE
 *
 * The network takes pixels, as `bw export` writes it. The image is a binary PGM (grey) or PPM (colour), without
 * comments and of the size of the network's input.
 */
#include <bitwright.h>

#include <stdio.h>
#include <stdlib.h>

static int fail(const char *text)
{
    fprintf(stderr, "%s\n", text);
    return EXIT_FAILURE;
}

/* Reads an image channel after channel, as the network wants it; 0 if it is none of that size. */
static int read_image(const char *path, const bw_tensor *type, unsigned char *pixels)
{
    const size_t channels = type->dims[0], height = type->dims[1], width = type->dims[2];
    size_t w, h, found = 0;
    int format, most, value;
    FILE *file = fopen(path, "rb");
    if (!file) return 0;
    if (fscanf(file, "P%d %zu %zu %d", &format, &w, &h, &most) == 4 && getc(file) != EOF && most == 255 &&
        w == width && h == height && channels == (format == 5 ? 1 : format == 6 ? 3 : 0)) {
        for (; found < type->elements && (value = getc(file)) != EOF; found++)
            pixels[found % channels * height * width + found / channels] = (unsigned char)value;
    }
    fclose(file);
    return found == type->elements;
}

static int classify(bw_engine *engine, const bw_description *net, const char *path)
{
    bw_error error;
    unsigned char *pixels = malloc(net->input.bytes);
    float *scores = malloc(net->output.bytes);
    int status = EXIT_SUCCESS;
    if (!pixels || !scores || !read_image(path, &net->input, pixels)) {
        status = fail("expected a PGM or PPM image of the size that the network takes");
    } else if (bw_run(engine, pixels, net->input.bytes, scores, net->output.bytes, 1, 0, &error) != BW_OK) {
        status = fail(error.text);
    } else {
        size_t best = 0;
        const char *label = "a class without a name";
        for (size_t i = 1; i < net->output.elements; i++) best = scores[i] > scores[best] ? i : best;
        bw_get_label(engine, best, &label, NULL);
        printf("%zu: %s\n", best, label);
    }
    free(pixels);
    free(scores);
    return status;
}

int main(int count, char **arguments)
{
    bw_error error;
    bw_engine *engine;
    bw_description net;
    if (count != 3) return fail("usage: classify NET.bw IMAGE");
    if (bw_open(arguments[1], NULL, &engine, &error) != BW_OK) return fail(error.text);
    int status;
    if (bw_describe(engine, &net, &error) != BW_OK) status = fail(error.text);
    else if (net.input.kind != BW_PIXEL) status = fail("expected a network of pixels");
    else status = classify(engine, &net, arguments[2]);
    bw_close(engine);
    return status;
}
