/* bitwright: run a packed binary network (.bw file) from C.
 *
 * Errors. A function that can fail returns a status. If `error` is not NULL it then holds one line that says where,
 * what was expected and what was found, and after a success an empty one. A function that fails writes nothing else,
 * except that bw_run may have written a part of the output when memory or threads run out.
 *
 * Ownership. The caller closes what it opened. Strings belong to the library: those of an engine live until it is
 * closed, names of instruction sets and the version always. They are UTF-8 and end with a zero byte.
 *
 * Threads. There is no global state. Any number of threads may call functions on one engine at the same time, each with
 * an error, inputs and outputs of its own; bw_close must come after all of them. Results do not depend on the number
 * of threads, on the instruction set, or on how samples are split into batches.
 */
#ifndef BITWRIGHT_H
#define BITWRIGHT_H

#include <stddef.h>

#if defined(__GNUC__)
#define BW_API __attribute__((visibility("default")))
#else
#define BW_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef enum bw_status {
    BW_OK = 0,
    BW_INVALID_ARGUMENT = 1, /* the caller's mistake: a null pointer, a wrong size, a value out of range */
    BW_NOT_FOUND = 2,        /* no such key, or an index behind the last one */
    BW_BAD_FILE = 3,         /* not a bitwright file, a damaged one, or one for a newer version */
    BW_SYSTEM_ERROR = 4,     /* the operating system refused: a file cannot be read, a thread cannot be started */
    BW_OUT_OF_MEMORY = 5,
    BW_INTERNAL_ERROR = 6    /* a mistake of the library */
} bw_status;

typedef struct bw_error {
    char text[1024];
} bw_error;

/* A network that is ready to run. */
typedef struct bw_engine bw_engine;

/* Zero in any field means its default: bw_options options = {sizeof options}; */
typedef struct bw_options {
    size_t size;     /* bytes of this struct, so that it may grow: sizeof(bw_options) */
    const char *isa; /* instruction set; default: BITWRIGHT_ISA of the environment, else the best of this processor */
    int threads;     /* for calls of bw_run that name no number, 1 to 256; default: 1 */
    int tune;        /* not 0: choose the kernel of every binary convolution by timing, some seconds at most */
} bw_options;

typedef enum bw_kind {
    BW_REAL = 0, /* finite numbers, float */
    BW_PIXEL = 1 /* 0 to 255, unsigned char */
} bw_kind;

typedef enum bw_dtype { BW_FLOAT32 = 0, BW_UINT8 = 1 } bw_dtype;

/* One sample of an input or output: rank 3, (channels, height, width), or rank 1, (features). Elements are dense, the
 * last dimension fastest; samples follow one another. */
typedef struct bw_tensor {
    bw_kind kind;
    bw_dtype dtype;
    int rank;
    size_t dims[3];  /* 1 behind the rank */
    size_t elements; /* the product of dims */
    size_t bytes;
} bw_tensor;

typedef struct bw_description {
    bw_tensor input;
    bw_tensor output; /* always BW_REAL */
    const char *isa;  /* the instruction set in use */
    int threads;      /* of calls that name no number */
    size_t labels;    /* how many; 0 if the file holds none, else usually output.elements */
    size_t steps;     /* how many */
} bw_description;

/* One step of a run: an op of the network, and those that run with it. */
typedef struct bw_step {
    const char *name;   /* of its first op */
    const char *op;     /* kind of that op, such as BinaryConv */
    const char *kernel; /* the routine that runs it */
} bw_step;

/* Opens a file. It stays mapped until bw_close and must not be cut short or written to; to replace it, write a new file
 * and rename it, as bw.export does. `options` may be NULL. */
BW_API bw_status bw_open(const char *path, const bw_options *options, bw_engine **engine, bw_error *error);

/* Opens a file's bytes, and keeps a copy of them. */
BW_API bw_status bw_open_memory(const void *data, size_t bytes, const bw_options *options, bw_engine **engine,
                                bw_error *error);

/* Frees an engine, and with it the strings got from it. NULL is left alone. */
BW_API void bw_close(bw_engine *engine);

BW_API bw_status bw_describe(const bw_engine *engine, bw_description *description, bw_error *error);

/* Name of a class, 0 to labels - 1, in the order of the outputs. */
BW_API bw_status bw_get_label(const bw_engine *engine, size_t index, const char **label, bw_error *error);

/* A text that travels in the file, such as its "producer". */
BW_API bw_status bw_get_meta(const bw_engine *engine, const char *key, const char **value, bw_error *error);

/* A step, 0 to steps - 1, in the order in which they run. */
BW_API bw_status bw_get_step(const bw_engine *engine, size_t index, bw_step *step, bw_error *error);

/* Runs a batch. `input_bytes` and `output_bytes` are samples times those of the description; both arrays are aligned
 * for their elements. `threads` is 1 to 256, or 0 for the engine's own number; they share the samples of the batch, or
 * the layers of a small one. */
BW_API bw_status bw_run(bw_engine *engine, const void *input, size_t input_bytes, float *output, size_t output_bytes,
                        size_t samples, int threads, bw_error *error);

/* An instruction set that this processor can run: index 0 is "reference", the last one the best. */
BW_API bw_status bw_get_isa(size_t index, const char **isa, bw_error *error);

/* Version of the library, such as "1.2.3". */
BW_API const char *bw_version(void);

#ifdef __cplusplus
}
#endif

#endif
