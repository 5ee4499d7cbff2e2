/* SPDX-License-Identifier: MIT-0 */
/* The memory's store as it begins, in sectors of the flash that the program writes later. */
    .section .memory_store, "a", %progbits
    .global rp2_memory
    .global rp2_memory_end
    .balign 4096
rp2_memory:
    .incbin "memory.store"
rp2_memory_end:
    .section .note.GNU-stack, "", %progbits
