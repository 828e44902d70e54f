/* Runs a fuzz target on files, without a fuzzer. */
#include "../test/check.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int main(int argc, char **argv) {
    static uint8_t bytes[1 << 16];
    for (int i = 1; i < argc; i++) {
        FILE *file = fopen(argv[i], "rb");
        if (file == NULL) FAIL("%s cannot be read", argv[i]);
        size_t length = fread(bytes, 1, sizeof bytes, file);
        note("%s", argv[i]);
        (void)fclose(file);
        (void)LLVMFuzzerTestOneInput(bytes, length);
    }
    return 0;
}
