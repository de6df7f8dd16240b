/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The shared memory of a program that may be an enemy's: a whole one, made once, into which the input writes. Each 12
 * bytes of it: where (4, of 8), 8 bytes. An input that begins with an odd byte is the memory itself.
 */
#include "weir/doctor/look/look_weir.c"

#include "libweir/base/assert.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SEATS 3
#define PID   4711U

static void sit_down(struct wr_shm *shm, struct wr_board *board)
{
    const uint8_t ip[4] = {192, 0, 2, 9};
    struct wr_addr peer = wr_addr_v4(ip, 4242);
    struct conns_table table;
    struct wr_recorder recorder;
    struct wr_seat *seat = wr_board_seat(board, 2);
    seat->state = WR_SEAT_READY, seat->pid = PID, seat->role = 7;
    WR_ASSERT(conns_begin(&table, wr_heap_libc(), shm, 2) == 0);
    WR_ASSERT(wr_recorder_open(&recorder, shm, 2, PID) == 0);
    for (uint64_t i = 0; i < 3; i++) {
        uint32_t at = conns_open(&table, 100 + i, 20 + (int)i, &peer, 10, UINT64_MAX);
        conns_request(&table, at, WR_LIT("GET /slow"), 20, 30);
        wr_record(&recorder, 40, 100 + i, WR_EVENT_REQUEST, 0, 0, 0);
    }
    conns_end(&table);
    struct wr_lease_book now = {
        .pool = "db", .max_open = 4, .lent = 1, .waiting = 2, .lines = 1};
    struct wr_lease_book *book = wr_leases_open(wr_leases_at(shm), PID);
    now.line[0] = (struct wr_lease_line){1, 50, 42, "shop.c", "on_request"};
    wr_leases_write(book, &now);
}

static char *make_memory(size_t *out_size)
{
    const struct wr_board_options options = {.seats = SEATS};
    const struct wr_shm_part parts[] = {
        {WR_BOARD_PART,               WR_BOARD_VERSION,    wr_board_size(&options)              },
        {WR_RECORDER_PART,            WR_RECORDER_VERSION, wr_recorder_size(SEATS,                16)},
        {CONNS_PART,                           CONNS_VERSION,                                     conns_size(SEATS,                                   8)},
        {STATE_PART,                         STATE_VERSION,                                            sizeof(struct state_words)                                     },
        {WR_LEASES_PART, WR_LEASES_VERSION,wr_leases_size(4)},
    };
    struct wr_shm *shm;
    struct wr_board *board;
    WR_ASSERT(wr_shm_new(wr_heap_libc(), "weir", parts, WR_ARRAY_LEN(parts), &shm) == 0);
    WR_ASSERT(wr_recorder_format(shm, SEATS, 16) == 0);
    WR_ASSERT(conns_format(shm, SEATS, 8) == 0);
    WR_ASSERT(wr_leases_format(shm, 4) == 0);
    WR_ASSERT(wr_board_new(wr_heap_libc(), shm, &options, &board) == 0);
    sit_down(shm, board);
    *out_size = wr_shm_size(shm);
    char *copy = aligned_alloc(WR_SHM_PAGE, *out_size);
    WR_ASSERT(copy);
    memcpy(copy, wr_shm_base(shm), *out_size);
    wr_board_free(&board);
    wr_shm_free(&shm);
    return copy;
}

static void write_into(char *memory, size_t size, const uint8_t *data, size_t n)
{
    for (; n >= 12; data += 12, n -= 12) {
        uint32_t at;
        memcpy(&at, data, sizeof at);
        memcpy(memory + at % (size / 8) * 8, data + 4, 8);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char *whole;
    static size_t whole_size;
    static const uint32_t pid = PID;
    if (!whole)
        whole = make_memory(&whole_size);
    bool raw = size > 0 && (data[0] & 1);
    size_t n = raw ? size - 1 : whole_size;
    char *memory = aligned_alloc(WR_SHM_PAGE, WR_SHM_ALIGN(n + 1));
    WR_ASSERT(memory);
    memcpy(memory, raw ? (const char *)data + 1 : whole, n);
    if (!raw && size > 0)
        write_into(memory, n, data + 1, size - 1);
    struct facts_look l;
    facts_look_init(&l, wr_heap_libc());
    struct books b = {.look = &l, .pids = &pid, .n_pids = 1, .memory = memory, .size = n};
    b.now_ns = 1000000000000;
    b.weir = true;
    read_memory(&b);
    WR_ASSERT(b.err == 0 || b.err == -E2BIG);
    WR_ASSERT(l.weirs.n <= 1 && l.weir_pools.n <= POOLS_MAX);
    WR_ASSERT(raw || size > 1 || (l.weirs.n == 1 && l.weir_pools.n == 1));
    facts_look_deinit(&l);
    free(memory);
    return 0;
}
