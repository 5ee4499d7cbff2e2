/* SPDX-License-Identifier: MIT-0 */
/* The packed model, linked as it is; found through the include path. */
    .section .bm_blob, "a", %progbits
    .global bm_blob
    .global bm_blob_end
    .balign 64
bm_blob:
    .incbin "model.blob"
bm_blob_end:
    .byte 0
    .section .note.GNU-stack, "", %progbits
