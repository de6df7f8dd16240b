/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/look/look.h"

#include "libweir/io/addr.h"
#include "libweir/io/board.h"
#include "libweir/io/recorder.h"
#include "libweir/io/shm.h"
#include "libweir/os/os.h"
#include "tests/tap.h"
#include "weir/stats/conns.h"
#include "weir/stats/state.h"

#include <sys/mman.h>
#include <unistd.h>

#define SEATS 4

static struct wr_shm *shm;
static struct wr_board *board;

static void make_memory(void)
{
    const struct wr_board_options options = {.seats = SEATS};
    const struct wr_shm_part parts[] = {
        {WR_BOARD_PART,    WR_BOARD_VERSION,    wr_board_size(&options)},
        {WR_RECORDER_PART, WR_RECORDER_VERSION, wr_recorder_size(SEATS,  16)},
        {CONNS_PART,                CONNS_VERSION,                          conns_size(SEATS,                     8)},
        {STATE_PART,              STATE_VERSION,                                 sizeof(struct state_words)                          },
    };
    if (wr_shm_new(wr_heap_libc(), "weir", parts, WR_ARRAY_LEN(parts), &shm) ||
        wr_recorder_format(shm, SEATS, 16) || conns_format(shm, SEATS, 8) ||
        wr_board_new(wr_heap_libc(), shm, &options, &board))
        abort();
}

/* This process sits on seat 2 and holds three connections; its master says that it does not move. */
static void sit_down(void)
{
    const uint8_t ip[4] = {192, 0, 2, 9};
    struct wr_addr peer = wr_addr_v4(ip, 4242);
    struct conns_table table;
    struct wr_recorder recorder;
    uint64_t now = wr_os_now_ns(CLOCK_MONOTONIC);
    struct wr_seat *seat = wr_board_seat(board, 2);
    seat->state = WR_SEAT_READY, seat->pid = (uint64_t)getpid(), seat->role = 7;
    seat->counter[WR_COUNTER_REQUESTS] = 99;
    seat->loop.running_since_ns = now - 5000000000;
    seat->loop.running_fd = 11;
    struct state_words *state = state_at(shm);
    state_begin(state);
    state->first_worker_seat = 1;
    state->stuck[2] =
        (struct state_stuck){.pid = (uint64_t)getpid(), .since_ns = now - 4000000000, .fd = 5};
    state_text(state->stuck[2].what, sizeof state->stuck[2].what, "callback");
    state_text(state->stuck[2].path, sizeof state->stuck[2].path, "/var/log/\033[2Jx");
    state_end(state);
    if (conns_begin(&table, wr_heap_libc(), shm, 2) ||
        wr_recorder_open(&recorder, shm, 2, (uint32_t)getpid()))
        abort();
    uint64_t ms = now / 1000000;
    for (uint64_t i = 0; i < 3; i++) {
        uint32_t at = conns_open(&table, 100 + i, 20 + (int)i, &peer, ms - 9000, UINT64_MAX);
        conns_request(&table, at, WR_LIT("GET /slow"), ms - 8000 + i * 1000, ms + 60000);
        wr_record(&recorder, now, 100 + i, WR_EVENT_REQUEST, 0, 0, 0);
    }
    conns_end(&table);
}

static void look_at(struct facts_look *l, const char *exe)
{
    struct facts_process p = {.pid = (uint32_t)getpid()};
    facts_look_init(l, wr_heap_libc());
    if (facts_text_add(l, wr_span_str(exe), &p.exe) || FACTS_ADD(&l->processes, l->heap, &p) ||
        facts_seal(l))
        abort();
    is_int(look_weir(l, &p.pid, 1), 0, "looked at %s", exe);
}

static void test_books(void)
{
    struct facts_look l;
    look_at(&l, "/usr/sbin/weir");
    is_int(l.weirs.n, 1, "one worker");
    const struct facts_weir *w = l.weirs.v;
    ok(w && w->worker == 7 && w->requests == 99, "its words");
    ok(w && w->running_ms >= 5000 && w->stuck_ms >= 4000 && w->fd == 5, "since when it stands");
    is_str(w ? facts_text(&l, w->path) : NULL, "/var/log/\033[2Jx", "a path is kept as it is");
    is_int(l.weir_stages.n, 1, "one stage");
    const struct facts_weir_stage *s = l.weir_stages.v;
    ok(s && s->count == 3 && s->number == 100, "three connections, the one that waits longest");
    ok(s && s->in_stage_ms >= 8000 && s->age_ms >= 9000 && s->left_ms > 50000, "its times");
    is_str(s ? facts_text(&l, s->doing) : NULL, "GET /slow", "what it does");
    is_str(s ? facts_text(&l, s->peer) : NULL, "192.0.2.9:4242", "whose it is");
    is_int(l.weir_events.n, 3, "the recorder's events");
    facts_look_deinit(&l);
    look_at(&l, "/usr/sbin/nginx");
    is_int(l.weirs.n, 0, "who is not weir is not asked");
    facts_look_deinit(&l);
}

/* Every page of the memory holds whatever an enemy wrote. */
static void test_hostile(void)
{
    struct facts_look l;
    unsigned char *p = wr_shm_base(shm);
    for (unsigned round = 0; round < 200; round++) {
        size_t at = 64 + (round * 7919UL * 64) % (wr_shm_size(shm) - 128);
        memset(p + at, round & 1 ? 0xff : 0x41, 64);
    }
    look_at(&l, "/usr/sbin/weir");
    facts_look_deinit(&l);
    memset(p, 0xff, wr_shm_size(shm));
    look_at(&l, "/usr/sbin/weir");
    is_int(l.weirs.n, 0, "nothing is believed");
    facts_look_deinit(&l);
    wr_board_free(&board);
    wr_shm_free(&shm);
    int fd = memfd_create("weir", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, 65536))
        abort();
    look_at(&l, "/usr/sbin/weir");
    is_int(l.weirs.n, 0, "memory that could shrink under us is not touched");
    facts_look_deinit(&l);
    (void)close(fd);
}

int main(void)
{
    make_memory();
    sit_down();
    test_books();
    test_hostile();
    return tap_done();
}
