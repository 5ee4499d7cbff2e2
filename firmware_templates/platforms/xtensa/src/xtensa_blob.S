/* The packed weights, read-only. */
    .section .rodata.blob, "a"
    .global bm_blob
    .global bm_blob_end
    .balign 64
bm_blob:
    .incbin "model.blob"
bm_blob_end:
    .byte 0
