/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/filter/charset_table.h"

#include "libweir/base/err.h"
#include "tests/mem_kit.h"
#include "tests/tap.h"

#include <string.h>

static struct mem_kit kit;

static struct charset_table *table(struct wr_arena *a, const char *from, const char *to,
                                   const char *const (*rows)[2])
{
    struct charset_table *t = charset_table_new(a, wr_span_str(from), wr_span_str(to));
    for (; (*rows)[0]; rows++)
        is_int(charset_table_add(a, t, wr_span_str((*rows)[0]), wr_span_str((*rows)[1])), 0,
               "row %s %s", (*rows)[0], (*rows)[1]);
    return t;
}

/* Through the coder in pieces of `cut` bytes. */
static void converts(struct wr_arena *a, const struct charset_table *t, const char *in,
                     const char *want, size_t cut)
{
    void *state;
    char out[256];
    size_t n = 0, len = strlen(in);
    is_int(charset_open(a, t, &state), 0, "open");
    for (size_t at = 0; at <= len; at += cut) {
        bool done = false, last = at + cut > len;
        struct wr_span piece = wr_span(in + at, last ? len - at : cut);
        while (!done) {
            size_t k = 0;
            is_int(charset_convert(state, &piece, last ? RECODE_FINISH : RECODE_RUN, out + n,
                                   RECODE_ROOM, &k, &done),
                   0, "run");
            n += k;
        }
    }
    out[n] = 0;
    is_str(out, want, "by %zu bytes", cut);
    charset_close(state);
}

int main(void)
{
    if (mem_kit_init(&kit, wr_heap_libc(), NULL))
        return 1;
    struct wr_arena arena;
    wr_arena_init(&arena, &kit.arenas, NULL, WR_ARENA_CHUNK);
    static const char *const koi[][2] = {
        {"C0", "D18E"},
        {"C1", "D0B0"},
        {NULL, NULL  }
    };
    static const char *const back[][2] = {
        {"D18E", "C0"},
        {"D0B0", "C1"},
        {NULL,   NULL}
    };
    struct charset_table *to = table(&arena, "koi8-r", "utf-8", koi);
    struct charset_table *from = table(&arena, "UTF-8", "koi8-r", back);
    for (size_t cut = 1; cut < 5; cut++) {
        converts(&arena, to, "a\xC0\xC1z\xFF", "a\xD1\x8E\xD0\xB0z\xFF", cut);
        converts(&arena, from, "a\xD1\x8E\xD0\xB0z", "a\xC0\xC1z", cut);
        converts(&arena, from, "\xE2\x82\xAC\xF0\x9F\x98\x80", "&#8364;&#128512;", cut);
        converts(&arena, from, "\xD1x\xFF\xC0\x80\xED\xA0\x80\xD1", "?x?????", cut);
    }
    is_int(charset_table_add(&arena, to, WR_LIT("C"), WR_LIT("D0B0")), WR_E_SYNTAX,
           "half a byte");
    is_int(charset_table_add(&arena, from, WR_LIT("D1"), WR_LIT("C0")), WR_E_SYNTAX,
           "no UTF-8");
    wr_arena_deinit(&arena);
    mem_kit_deinit(&kit);
    return tap_done();
}
