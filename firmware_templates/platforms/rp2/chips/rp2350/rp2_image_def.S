/* SPDX-License-Identifier: MIT-0 */
/* The block by which the boot ROM knows a program (RP2350 Datasheet, "Minimum viable image metadata"): a secure one for the Arm
 * cores, whose vectors begin the image. It is alone, so it names itself as the next block.
 */
    .section .image_def, "a"
    .balign 4
    .word 0xFFFFDED3
    .word 0x10210142                /* image type: one word; executable, secure, Arm, RP2350 */
    .word 0x000001FF                /* last item, after one word of items */
    .word 0
    .word 0xAB123579
