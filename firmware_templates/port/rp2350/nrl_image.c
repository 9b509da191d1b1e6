/*
 * nrl_image.c: what the RP2350's boot ROM looks for in the first 4 KiB of flash: a block that says what image this is.
 *
 * RP2350 Datasheet 5.9: between two markers an item with the kind of image, the last item with the length of those before
 * it, and the distance to the next block: none. Without an entry of its own, the image starts by the vector table at its
 * beginning.
 */
#include <stdint.h>

#define BLOCK_BEGIN UINT32_C(0xffffded3)
#define BLOCK_END UINT32_C(0xab123579)
/* An item of one word: executable, for the secure state, Arm, RP2350. */
#define IMAGE_TYPE UINT32_C(0x10210142)
#define LAST_ITEM UINT32_C(0x000001ff)
#define NO_OTHER_BLOCK UINT32_C(0)

__attribute__((section(".image_def"), used)) static const uint32_t nrl_image_definition[] = {
    BLOCK_BEGIN, IMAGE_TYPE, LAST_ITEM, NO_OTHER_BLOCK, BLOCK_END,
};
