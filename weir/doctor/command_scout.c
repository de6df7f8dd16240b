/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Finding the targets: a cheap look at listeners and processes, and what is said when nobody is meant.
 */
#include "weir/doctor/command_private.h"
#include "weir/doctor/look/look.h"
#include "weir/doctor/report/say.h"

#include "libweir/os/os.h"

#include <errno.h>

#define NEAR     8   /* listeners that are named instead */
#define ASIDE_MS 300 /* in pauses: nobody is told anything before this is over */

bool run_whole_host(const struct run *r)
{
    return r->o->n_targets == 0;
}

int run_no_memory(const struct run *r, int err)
{
    say_error("doctor", "%s",
              err == -E2BIG ? WORD(r->o->lang, D_MUCH) : WORD(r->o->lang, D_MEMORY));
    return DOCTOR_UNDECIDED;
}

static int parse(const struct run *r, unsigned i, struct target *out)
{
    const char *why = "";
    if (target_parse(wr_span_str(r->o->target[i]), r->o->lang, out, &why) == 0)
        return 0;
    say_error("doctor", WORD(r->o->lang, D_NO_TARGET), r->o->target[i], why);
    return DOCTOR_USAGE;
}

/* ---- the look -------------------------------------------------------------------------------------- */
static int take_look(struct facts_look *l, bool owners)
{
    struct look_pace pace;
    look_pace(&pace, ASIDE_MS);
    l->pace = &pace;
    look_begin(l);
    const struct look_ask ask = {.proto = FACTS_TCP, .states = LOOK_LISTEN_ONLY};
    int err = look_inet(l, &ask);
    if (!err)
        err = look_processes(l, 0);
    if (!err && owners)
        err = look_listeners(l);
    look_end(l);
    l->pace = NULL;
    return err ? err : facts_seal(l);
}

/* Descriptors are the dearest part: only for who needs to know who listens. */
static bool needs_owners(enum target_kind k)
{
    return k == TARGET_HOST || k == TARGET_PORT;
}

/* ---- nobody ---------------------------------------------------------------------------------------- */
static bool has_port(const uint16_t *ports, unsigned n, uint16_t port)
{
    while (n && ports[n - 1] != port)
        n--;
    return n != 0;
}

static void put_near(const struct run *r, const struct facts_look *l, struct stats_text *t)
{
    uint16_t named[NEAR];
    unsigned n = 0;
    for (uint32_t i = 0; i < l->sockets.n && n < NEAR; i++) {
        const struct facts_socket *s = &l->sockets.v[i];
        const struct facts_fd *fd = facts_owner(l, s->inode, 0);
        const struct facts_process *p = fd ? facts_process(l, fd->pid) : NULL;
        if (s->state != FACTS_LISTEN || has_port(named, n, s->local_port))
            continue;
        stats_printf(t, "%s:%u", n ? ", " : WORD(r->o->lang, D_NEAR), s->local_port);
        if (p)
            stats_printf(t, " %.15s", p->comm);
        named[n++] = s->local_port;
    }
    if (n == 0)
        stats_put(t, wr_span_str(WORD(r->o->lang, D_NONE_NEAR)));
}

static int nobody(const struct run *r, const struct facts_look *l, const struct target *t,
                  const char *word)
{
    struct stats_text text = {.heap = r->heap};
    switch (t->kind) {
    case TARGET_PID:
        stats_printf(&text, WORD(r->o->lang, D_NO_PROCESS), t->pid);
        break;
    case TARGET_PORT:
        stats_printf(&text, WORD(r->o->lang, D_NOBODY), word);
        put_near(r, l, &text);
        break;
    case TARGET_NAME:
        stats_printf(&text, WORD(r->o->lang, D_NO_NAME), word);
        break;
    case TARGET_CGROUP:
    case TARGET_UNIT:
        stats_printf(&text, WORD(r->o->lang, D_NO_MEMBER), word);
        break;
    case TARGET_HOST:
        stats_put(&text, wr_span_str(WORD(r->o->lang, D_NO_LISTENER)));
        break;
    }
    say_error("doctor", "%.*s", (int)text.n, text.p ? text.p : "");
    stats_text_free(&text);
    return DOCTOR_NO_TARGET;
}

/* ---- all targets ------------------------------------------------------------------------------------- */
static int find(const struct run *r, const struct facts_look *l, const struct target *t,
                const char *word, struct target_groups *io)
{
    int n = target_find(l, t, (uint32_t)wr_os_getpid(), io);
    if (n < 0)
        return run_no_memory(r, n);
    return n == 0 ? nobody(r, l, t, word) : 0;
}

static int find_all(const struct run *r, const struct facts_look *l, struct target_groups *out)
{
    struct target t = {.kind = TARGET_HOST};
    int status = run_whole_host(r) ? find(r, l, &t, "", out) : 0;
    for (unsigned i = 0; !status && i < r->o->n_targets; i++) {
        status = parse(r, i, &t);
        if (!status)
            status = find(r, l, &t, r->o->target[i], out);
    }
    return status;
}

int run_scout(const struct run *r, struct target_groups *out)
{
    struct facts_look l;
    struct target t;
    bool owners = run_whole_host(r), several = false;
    int status = 0;
    for (unsigned i = 0; !status && i < r->o->n_targets; i++) {
        status = parse(r, i, &t);
        owners |= needs_owners(t.kind);
        several |= t.kind == TARGET_NAME;
    }
    while (!status) {
        facts_look_init(&l, r->heap);
        int err = take_look(&l, owners);
        status = err ? run_no_memory(r, err) : find_all(r, &l, out);
        facts_look_deinit(&l);
        /* Several of one name may be the members of one SO_REUSEPORT group: ask who listens. */
        if (owners || !several || out->rows.n < 2)
            break;
        owners = true;
        target_groups_deinit(out);
    }
    return status;
}

int run_scout_net(const struct target_groups *all, uint64_t net, struct target_groups *out)
{
    int err = 0;
    for (uint32_t i = 0; !err && i < all->rows.n; i++) {
        struct target_group row = all->rows.v[i];
        if (row.net != net)
            continue;
        row.first = out->pids.n;
        for (uint32_t k = 0; !err && k < row.n; k++)
            err = FACTS_ADD(&out->pids, out->heap, &all->pids.v[all->rows.v[i].first + k]);
        if (!err)
            err = FACTS_ADD(&out->rows, out->heap, &row);
    }
    return err;
}

static uint64_t one_net(const struct target_groups *all)
{
    struct stat st;
    uint64_t own = wr_os_stat("/proc/self/ns/net", &st) == 0 ? st.st_ino : 0;
    for (uint32_t i = 0; i < all->rows.n; i++)
        if (all->rows.v[i].net == own)
            return own;
    return all->rows.v[0].net;
}

int run_scout_one(const struct run *r, const struct target_groups *all, bool silent,
                  struct target_groups *out)
{
    int err = run_scout_net(all, one_net(all), out);
    if (!err && !silent && out->rows.n < all->rows.n)
        say_error("doctor", WORD(r->o->lang, D_LEFT_OUT), all->rows.n - out->rows.n,
                  all->rows.n);
    return err;
}
