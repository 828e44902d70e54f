/* Scripts that call the border's functions with any arguments. Each byte of the input selects from a list
 * below: a function, arguments, a use of the result. A sanitizer detects accesses outside of the engine's
 * memory. */
#include "stub.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MEMORY_BYTES (24u << 20)
#define CALL_MS 1000u
#define SCRIPT 65536u

static const char *const functions[] = {
    "now",           "monotonic",  "random",     "log",          "sha256",       "hashLeaf",
    "hashNode",      "utf8Encode", "utf8Decode", "base64Encode", "base64Decode", "sign",
    "psdbPut",       "psdbGet",    "psdbSend",   "netSend",      "netClose",     "netPause",
    "ed25519Verify", "netResume",  "timer",      "started",      "stopped"};

static const char *const values[] = {
    "0",
    "1",
    "-1",
    "-0",
    "0.5",
    "63",
    "64",
    "65535",
    "65536",
    "65537",
    "4294967295",
    "4294967296",
    "9007199254740993",
    "1e308",
    "Infinity",
    "NaN",
    "undefined",
    "null",
    "true",
    "5n",
    "2n**64n",
    "''",
    "'A'",
    "'AAAA'",
    "'QQ=='",
    "'QR=='",
    "'Q==='",
    "'\\0'",
    "'\\ud800'",
    "'\\u{1f600}'.repeat(40)",
    "'47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='",
    "'A'.repeat(5000)",
    "'A'.repeat(3000000)",
    "new ArrayBuffer(0)",
    "new ArrayBuffer(1)",
    "new ArrayBuffer(32)",
    "new ArrayBuffer(64)",
    "new ArrayBuffer(65536)",
    "new ArrayBuffer(65537)",
    "new ArrayBuffer(6000000)",
    "new ArrayBuffer(16, { maxByteLength: 4096 })",
    "new Uint8Array([0x41, 0xff, 0xc0, 0x80]).buffer",
    "new Uint8Array([0xf0, 0x9f, 0x98, 0x80]).buffer",
    "new Uint8Array([0xed, 0xa0, 0x80]).buffer",
    "new Uint8Array([0x41, 0, 0x42]).buffer",
    "new Uint8Array(64)",
    "new DataView(new ArrayBuffer(64))",
    "new SharedArrayBuffer(64)",
    "gone",
    "shrinks",
    "kept",
    "Symbol()",
    "{}",
    "[]",
    "[64]",
    "() => 1",
    "new Proxy({}, {})",
    "new Proxy(new ArrayBuffer(8), {})",
    "new Date(5)",
    "/x/",
    "host",
    "throws",
    "calls",
    "resizes",
    "transfers",
    "collects",
    "deep",
    "Promise.resolve(1)",
    "(async () => { await 1; host.log(kept) })()",
    "new (class extends ArrayBuffer {})(64)",
    "Object.create(ArrayBuffer.prototype)",
};

/* Values whose conversion has side effects. */
static const char prelude[] =
    "var kept = new ArrayBuffer(64), gone = new ArrayBuffer(64), results = [];"
    "try { gone.transfer() } catch {}"
    "var shrinks = new ArrayBuffer(64, { maxByteLength: 70000 });"
    "var throws = { valueOf() { throw 1 }, toString() { throw new Error('x') } };"
    "var calls = { valueOf() { host.psdbGet(0, 65536); host.netSend(1, kept); return 3 },"
    "  toString() { host.hashNode('A', 'B'); host.log('in'); return 'QQ==' } };"
    "var resizes = { valueOf() { try { shrinks.resize(shrinks.byteLength === 64 ? 0 : 64) } catch {} return "
    "1 },"
    "  toString() { try { shrinks.resize(70000) } catch {} return 'AA==' } };"
    "var transfers = { valueOf() { try { kept = kept.transfer(65536) } catch {} return 0 },"
    "  toString() { try { kept.transfer(0) } catch {} return 'A' } };"
    "var collects = { valueOf() { let a = []; for (let i = 0; i < 999; i++) a.push({ a }); return 2 } };"
    "var deep = { valueOf() { return host.random(deep) }, toString() { return host.utf8Encode(deep) } };"
    "function use(r) { if (r instanceof ArrayBuffer) { new Uint8Array(r).fill(1); kept = r } "
    "results.push(r); return r }\n";

static uint8_t *memory;
static jmp_buf stopped;
static char script[SCRIPT];

_Noreturn void engine_stopped(const char *why) {
    if (getenv("LOUD") != NULL) fprintf(stderr, "STOPPED %s\n", why);
    longjmp(stopped, 1);
}

_Noreturn void stop(const char *file, int line, const char *what);
_Noreturn void stop(const char *file, int line, const char *what) {
    fprintf(stderr, "stopped at %s:%d: %s\n", file, line, what);
    abort();
}

struct input {
    const uint8_t *bytes;
    size_t length;
};

static size_t pick(struct input *input, size_t count) {
    if (input->length == 0) return 0;
    input->length--;
    return *input->bytes++ % count;
}

/* Makes a script from the input. */
static size_t write_script(struct input input) {
    size_t used = (size_t)snprintf(script, SCRIPT, "%s", prelude);
    while (input.length > 0 && used + 512 < SCRIPT) {
        const char *function = functions[pick(&input, sizeof functions / sizeof *functions)];
        const char *list[3];
        for (unsigned i = 0; i < 3; i++) list[i] = values[pick(&input, sizeof values / sizeof *values)];
        const size_t count = pick(&input, 4);
        const char *begin = pick(&input, 8) == 0 ? "for (let i = 0; i < 70; i++) " : "";
        used +=
            (size_t)snprintf(script + used, SCRIPT - used, "try { %suse(host.%s(%s%s%s%s%s)) } catch {}\n",
                             begin, function, count > 0 ? list[0] : "", count > 1 ? ", " : "",
                             count > 1 ? list[1] : "", count > 2 ? ", " : "", count > 2 ? list[2] : "");
    }
    return used;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    const size_t script_length = write_script((struct input){bytes, length});
    if (memory == NULL) memory = malloc(MEMORY_BYTES);
    if (memory == NULL) abort();
    if (getenv("LOUD") != NULL) fputs(script, stderr);
    if (setjmp(stopped) != 0) return 0;
    struct engine *engine = stub_start(memory, MEMORY_BYTES, CALL_MS, false);
    (void)(engine_evaluate(engine, script, script_length, "fuzz.js") && engine_run_jobs(engine));
    stub_end(engine);
    return 0;
}
