/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/stats/state.h"

#include "libweir/io/shm.h"

#include <string.h>

#define TRIES 100

struct state_words *state_at(const struct wr_shm *shm)
{
    size_t size;
    void *part = wr_shm_part(shm, STATE_PART, STATE_VERSION, &size);
    return part && size >= sizeof(struct state_words) ? part : NULL;
}

void state_text(char *out, size_t n, const char *text)
{
    size_t len = strnlen(text, n - 1);
    memcpy(out, text, len);
    out[len] = 0;
}

static void terminate(struct state_words *s)
{
    s->version[sizeof s->version - 1] = s->conf[sizeof s->conf - 1] = 0;
    s->problem[sizeof s->problem - 1] = 0;
    if (s->n_listeners > STATE_LISTENERS)
        s->n_listeners = STATE_LISTENERS;
    if (s->seats > STATE_SEATS)
        s->seats = STATE_SEATS;
    for (unsigned i = 0; i < STATE_LISTENERS; i++)
        s->listener[i].text[sizeof s->listener[i].text - 1] = 0;
    for (unsigned i = 0; i < STATE_SEATS; i++) {
        struct state_stuck *k = &s->stuck[i];
        k->what[sizeof k->what - 1] = k->fn[sizeof k->fn - 1] = 0;
        k->syscall[sizeof k->syscall - 1] = k->path[sizeof k->path - 1] = 0;
    }
}

bool state_read(const struct state_words *s, struct state_words *out)
{
    bool whole = false;
    for (unsigned i = 0; i < TRIES && !whole; i++) {
        uint64_t turn = __atomic_load_n(&s->turn, __ATOMIC_ACQUIRE);
        memcpy(out, s, sizeof *out);
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        whole = !(turn & 1) && __atomic_load_n(&s->turn, __ATOMIC_RELAXED) == turn;
    }
    terminate(out);
    return whole;
}
