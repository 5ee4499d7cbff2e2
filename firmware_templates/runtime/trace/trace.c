/* Replay a script of events, report a CRC-32 for every tap. All integers little-endian.
 *
 * script   := command*
 * command  := 'B'                       begin an episode
 *           | 'I' float32[INPUTS][768]  set the image
 *           | 'T' u32 token             step
 *           | 'W'                       end the episode (write the memory)
 *           | 'M' u8 on                 read the memory or not
 *           | 'S' u32 tap, u8 mode      tap mode: 0 silent, 1 CRC, 2 CRC and data
 * trace    := "BMTR" u32 tap_count  (record | result)*
 * record   := u32 tap, u32 crc, u32 bytes, u8 data[bytes]   (bytes = 0 unless the mode is 2; its bit 31 says that the tensor
 *             goes on in the next record; crc: of the tensor so far)
 * result   := u32 0xFFFFFFFF, i32 status, u32 0, after 'B', 'I', 'T' and 'W'
 */
#include "trace.h"

#include "bm_crc32.h"

#ifdef BM_TAPS

#define MORE 0x80000000u

static uint8_t mode[BM_TAP_COUNT];
static uint32_t crc;          /* of the tensor so far */
static const trace_io *port;

static void put_u32(uint32_t v)
{
    const uint8_t b[4] = {(uint8_t)v, (uint8_t)(v >> 8), (uint8_t)(v >> 16), (uint8_t)(v >> 24)};
    port->write(b, 4);
}

static int get_u32(uint32_t *v)
{
    uint8_t b[4];
    if (port->read(b, 4) != 4) return 0;
    *v = (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
    return 1;
}

static void tap(void *context, uint32_t id, const void *data, uint32_t rows, uint32_t row_bytes, uint32_t stride,
                int more)
{
    const uint8_t *p = data;
    (void)context;
    if (id >= BM_TAP_COUNT || mode[id] == 0) return;
    for (uint32_t r = 0; r < rows; r++) crc = bm_crc32(crc, p + (size_t)r * stride, row_bytes);
    if (mode[id] == 2 || !more) {
        put_u32(id);
        put_u32(crc);
        put_u32((mode[id] == 2 ? rows * row_bytes : 0) | (more ? MORE : 0));
    }
    if (mode[id] == 2)
        for (uint32_t r = 0; r < rows; r++) port->write(p + (size_t)r * stride, row_bytes);
    if (!more) crc = 0;
}

static void put_result(bm_status status)
{
    put_u32(0xFFFFFFFFu);
    put_u32((uint32_t)status);
    put_u32(0);
}

static int set_image(bm_state *s, float *features)
{
    const size_t bytes = BM_IMAGE_INPUTS * BM_VISION * sizeof *features;
    if (port->read(features, bytes) != bytes) return -1;
    put_result(bm_set_image(s, features));
    return 1;
}

/* Execute one command; returns 1 to go on, -1 if the script is malformed. */
static int execute(bm_state *s, float *features, uint8_t command)
{
    uint32_t v = 0;
    uint8_t c = 0;
    switch (command) {
    case 'B': bm_begin_episode(s); put_result(BM_OK); return 1;
    case 'W': put_result(bm_end_episode(s)); return 1;
    case 'I': return set_image(s, features);
    case 'T':
        if (!get_u32(&v)) return -1;
        put_result(bm_step(s, v));
        return 1;
    case 'M':
        if (port->read(&c, 1) != 1) return -1;
        s->memory_on = c != 0;
        return 1;
    case 'S':
        if (!get_u32(&v) || v >= BM_TAP_COUNT || port->read(&c, 1) != 1) return -1;
        mode[v] = c;
        return 1;
    default: return -1;
    }
}

int trace_serve(bm_state *s, float *features, const trace_io *io)
{
    uint8_t command;
    int go = 1;
    port = io;
    s->tap = tap;
    port->write("BMTR", 4);
    put_u32(BM_TAP_COUNT);
    while (go == 1 && port->read(&command, 1) == 1) go = execute(s, features, command);
    return go < 0 ? TRACE_MALFORMED : 0;
}

#else

int trace_serve(bm_state *s, float *features, const trace_io *io)
{
    (void)s;
    (void)features;
    (void)io;
    return TRACE_NO_TAPS;
}

#endif
