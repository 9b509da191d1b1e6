/*
 * fuzz_line.c: libFuzzer: whatever bytes come over the line. Where no good frame was among them, nothing has changed.
 */
#include "victim.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint32_t state;
    uint32_t executed;

    victim_boot();
    state = victim_state();
    executed = victim_executed();
    /* In pieces, as a line delivers them: the first byte says how long they are. */
    if (size != 0u) {
        const size_t piece = 1u + data[0] % 64u;

        for (size_t at = 1; at < size; at += piece) {
            victim_deliver(data + at, size - at < piece ? size - at : piece);
            if (data[at] == 0xffu) {
                victim_wait(500);
            }
        }
    }
    if (victim_executed() == executed && victim_state() != state) {
        victim_fail("the agent changed, and no request was executed");
    }
    return 0;
}
