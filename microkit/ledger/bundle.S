/* The bundle, envelopes/sel4/bundle/dist/bundle.js, and a NUL. */
    .section .rodata
    .balign 16
    .global bundle
bundle:
    .incbin BUNDLE
    .global bundle_end
bundle_end:
    .byte 0
    .section .note.GNU-stack, "", %progbits
