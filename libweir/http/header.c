/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/http/header.h"

#define SLOTS    512
#define TEXT_MAX 40

struct known {
    char text[TEXT_MAX];
    uint8_t n;
    uint8_t flags;
};

/* clang-format off */
static const struct known known[WR_H_COUNT] = {
    [WR_H_OTHER] = {"", 0, 0},
#define X(id, text, slot, flags) [WR_H_##id] = {text, sizeof(text) - 1, flags},
#include "libweir/http/header.def"
#undef X
};
/* clang-format on */

/* Two rows with one slot do not compile: the second initialiser would override the first. */
static const uint8_t slots[SLOTS] = {
#define X(id, text, slot, flags) [slot] = WR_H_##id,
#include "libweir/http/header.def"
#undef X
};
_Static_assert(WR_H_COUNT <= 128, "wr_head.seen has 128 bits, slots has bytes");

#define X(id, text, slot, flags) _Static_assert(sizeof(text) <= TEXT_MAX, text);
#include "libweir/http/header.def"
#undef X

/* The factors were searched for: with them no two known names share a slot. */
static inline unsigned slot_of(const char *p, size_t n)
{
    return ((unsigned)n * 345 + (p[n / 2] | 0x20) * 247 + (p[n - 1] | 0x20) * 392 +
            (p[n - 2] | 0x20) * 21) &
           (SLOTS - 1);
}

static inline uint64_t load8(const char *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v | 0x2020202020202020;
}

static inline uint32_t load4(const char *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v | 0x20202020;
}

/* Setting 0x20 folds letters and changes nothing else that a known name holds; no other token byte
 * turns into one of those. The last load overlaps the one before it, so no length needs a tail loop. */
static inline bool same_folded(const char *a, const char *b, size_t n)
{
    if (n >= 8) {
        for (size_t i = 0; i + 8 < n; i += 8)
            if (load8(a + i) != load8(b + i))
                return false;
        return load8(a + n - 8) == load8(b + n - 8);
    }
    if (n >= 4)
        return load4(a) == load4(b) && load4(a + n - 4) == load4(b + n - 4);
    return (a[0] | 0x20) == (b[0] | 0x20) && (a[1] | 0x20) == (b[1] | 0x20) &&
           (a[n - 1] | 0x20) == (b[n - 1] | 0x20);
}

enum wr_header wr_header_of(struct wr_span name)
{
    if (name.n < 2)
        return WR_H_OTHER;
    unsigned id = slots[slot_of(name.p, name.n)];
    const struct known *k = &known[id];
    if (k->n != name.n || !same_folded(name.p, k->text, name.n))
        return WR_H_OTHER;
    return (enum wr_header)id;
}

struct wr_span wr_header_name(enum wr_header id)
{
    return (struct wr_span){known[id].text, known[id].n};
}

unsigned wr_header_flags(enum wr_header id)
{
    return known[id].flags;
}
