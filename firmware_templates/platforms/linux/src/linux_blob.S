/* The packed model, linked as it is; found through the include path. */
    .section .rodata.bm_blob, "a"
    .global bm_blob
    .global bm_blob_end
    .balign 64
bm_blob:
    .incbin "model.blob"
bm_blob_end:
    .byte 0
    .section .note.GNU-stack, "", %progbits
