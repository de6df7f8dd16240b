/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A hostile recorder, board and memory: the readers end and stay inside the bytes that they were given
 * (the sanitizer watches the ends).
 */
#include "libweir/base/assert.h"
#include "libweir/io/board.h"
#include "libweir/io/recorder.h"
#include "libweir/io/shm.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_recorder(const void *part, size_t size)
{
    static struct wr_event events[64];
    char text[200];
    for (unsigned ring = 0; ring < 3; ring++) {
        int n = wr_recorder_read(part, size, ring, ring, events, 64);
        WR_ASSERT(n <= 64);
        for (int i = 0; i < n; i++)
            WR_ASSERT(wr_event_format(&events[i], text, sizeof text) < sizeof text);
    }
}

static void read_board(const void *part, size_t size)
{
    struct wr_board_view v;
    struct wr_board_field f;
    if (wr_board_view_init(&v, part, size) < 0)
        return;
    for (unsigned i = 0; i < v.fields && i < 1000; i++) {
        if (!wr_board_view_field(&v, i, &f))
            continue;
        WR_ASSERT(f.name.n <= 56 && f.help.n <= 96);
        for (unsigned seat = 0; seat < v.seats && seat < 4; seat++) {
            (void)wr_board_view_word(&v, &f, seat, 0);
            (void)wr_board_view_word(&v, &f, seat, 300);
            (void)wr_board_view_stage(&v, &f, seat);
        }
        if (v.seats > 0)
            (void)wr_board_view_word(&v, &f, v.seats - 1, 258);
    }
    (void)wr_board_view_find(&v, WR_LIT("client/dns"), &f);
}

static void read_memory(const void *base, size_t size)
{
    static const char *const names[] = {WR_BOARD_PART, WR_RECORDER_PART, "x"};
    const void *part;
    size_t n;
    for (size_t i = 0; i < WR_ARRAY_LEN(names); i++)
        if (wr_shm_find(base, size, names[i], 1, &part, &n) == 0) {
            read_board(part, n);
            read_recorder(part, n);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t *words = malloc(size ? size : 1);
    WR_ASSERT(words);
    memcpy(words, data, size);
    read_recorder(words, size);
    read_board(words, size);
    read_memory(words, size);
    free(words);
    return 0;
}
