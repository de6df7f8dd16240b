/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/http/header.c"

#include "tests/tap.h"

static void test_slots(void)
{
#define X(id, text, slot, flags) is_int(slot_of(text, sizeof(text) - 1), slot, "slot of " text);
#include "libweir/http/header.def"
#undef X
}

static void test_every_spelling(void)
{
    for (int id = 1; id < WR_H_COUNT; id++) {
        struct wr_span name = wr_header_name((enum wr_header)id);
        char upper[64], lower[64];
        for (size_t i = 0; i < name.n; i++) {
            lower[i] = wr_ascii_lower(name.p[i]);
            upper[i] = lower[i] >= 'a' && lower[i] <= 'z' ? (char)(lower[i] - 32) : lower[i];
        }
        bool good = wr_header_of(name) == (enum wr_header)id &&
                    wr_header_of(wr_span(lower, name.n)) == (enum wr_header)id &&
                    wr_header_of(wr_span(upper, name.n)) == (enum wr_header)id;
        ok(good, "%.*s in three spellings", WR_SPANF(name));
    }
}

/* Any one byte changed to any other token byte that is not the same letter: no longer known. */
static void test_neighbours(void)
{
    static const char tchars[] = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz";
    unsigned wrong = 0;
    for (int id = 1; id < WR_H_COUNT; id++) {
        struct wr_span name = wr_header_name((enum wr_header)id);
        for (size_t i = 0; i < name.n; i++)
            for (size_t k = 0; k < sizeof tchars - 1; k++) {
                char other[64];
                memcpy(other, name.p, name.n);
                if (wr_ascii_lower(other[i]) == tchars[k])
                    continue;
                other[i] = tchars[k];
                enum wr_header got = wr_header_of(wr_span(other, name.n));
                wrong += got != WR_H_OTHER &&
                         !wr_span_ieq(wr_header_name(got), wr_span(other, name.n));
                wrong += got == (enum wr_header)id;
            }
    }
    is_int(wrong, 0, "one byte off is another name");
}

static void test_unknown(void)
{
    is_int(wr_header_of(WR_LIT("")), WR_H_OTHER, "empty");
    is_int(wr_header_of(WR_LIT("x")), WR_H_OTHER, "one byte");
    is_int(wr_header_of(WR_LIT("X-Unheard-Of")), WR_H_OTHER, "unknown");
    is_int(wr_header_of(WR_LIT("Content_Length")), WR_H_OTHER, "underscore is no hyphen");
    ok(wr_header_flags(WR_H_TRANSFER_ENCODING) == (WR_HF_HOP | WR_HF_ONE | WR_HF_NO_TRAILER),
       "flags");
    is_int(wr_header_name(WR_H_OTHER).n, 0, "the unknown has no name");
}

int main(void)
{
    test_slots();
    test_every_spelling();
    test_neighbours();
    test_unknown();
    return tap_done();
}
