/* SPDX-License-Identifier: MIT-0 */
/* The model as a WebAssembly module: what it exports to the program that holds it (a page's worker, node, wasmtime), and the one
 * function that it imports. All numbers are i32 unless they are marked; addresses are offsets into the exported `memory`.
 *
 *   import  bm.clock() -> f64            nanoseconds since any moment: performance.now() * 1e6
 *
 *   bm_web_version() -> 1                of this interface
 *   bm_web_blob(), bm_web_blob_bytes()   where model.blob of the project belongs, and its size
 *   bm_web_store(bytes)                  where a memory's store of so many bytes belongs; 0: no room. Only in modules whose memory
 *                                        is in a store (codegen --memory sd), as are the other bm_web_store_...
 *   bm_web_start() -> 0                  once, when blob and store are in place. Otherwise the model does not run; the module
 *                                        answers requests about itself all the same
 *   bm_web_why()                         a sentence that ends in a zero byte: why it does not run; 0: it does
 *
 * From then on the module is a board on a serial line, docs/reference/serial-protocol.md, that loses no byte:
 *
 *   bm_web_input(), bm_web_input_bytes() where bytes for the board belong, and how many at a time
 *   bm_web_receive(n)                    so many of them are there
 *   bm_web_run() -> 1                    works: one request, or one token of it. 1: call again, there is more to do; 0: it waits for
 *                                        bytes. Whatever it sends is in the output then
 *   bm_web_output(), bm_web_output_bytes()  what the board sent, and how much of it
 *   bm_web_output_taken()                it was taken: the output is empty
 *
 * One loop is a host: put what has arrived into the input, receive, run, hand out the output, look whether something arrived, and
 * again. A new session of the host ends the request at work, as on every board. Every call may grow the memory: make views of
 * memory.buffer anew after each. `restart` is a new instance with the same blob and store.
 *
 *   bm_web_store_changed() -> offset     of the next piece of the store that was written and not told yet; -1: no more. A piece has
 *   bm_web_store_unit() -> 4096          bytes. What was told between two calls of bm_web_run belongs together: kept as a whole
 *                                        (one transaction), it is the memory of before or after an episode, never a mixture
 */
#ifndef WEB_H
#define WEB_H

#include <stddef.h>
#include <stdint.h>

#define WEB_VERSION 1
#define WEB_EXPORT(name) __attribute__((export_name(#name)))

/* Bytes first .. end of a room that grows. */
typedef struct {
    uint8_t *bytes;
    uint32_t first, end, room;
} web_buffer;

/* Memory that is never given back, aligned to 64; NULL: there is no more. */
void *web_new(uint32_t bytes);

/* Append; -1: there is no room. */
int web_put(web_buffer *b, const void *from, uint32_t n);

#endif
