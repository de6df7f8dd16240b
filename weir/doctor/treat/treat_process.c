/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Treatments of the process itself: its limit, its stop.
 */
#include "weir/doctor/look/look.h"
#include "weir/doctor/treat/treat_private.h"

#include "libweir/os/os.h"

#include <errno.h>
#include <stdio.h>

#define ENOUGH 65536U

static int add_process(struct treat *t)
{
    struct hand h = {.pid = t->pid, .fd = -1, .epoll = -1};
    (void)snprintf(h.name, sizeof h.name, "pid %u", t->pid);
    return hand_add(t, &h);
}

/* ---- the limit of descriptors ----------------------------------------------------------------------- */
/* As much as is sensible: programs walk over all descriptors up to their limit. */
static uint64_t sensible(const struct rlimit *now)
{
    if (now->rlim_cur < ENOUGH && now->rlim_max >= ENOUGH)
        return ENOUGH;
    if (now->rlim_max > now->rlim_cur)
        return now->rlim_max;
    return now->rlim_cur < ENOUGH / 4 ? ENOUGH : now->rlim_cur * 4;
}

static int limit_gather(struct treat *t, const struct finding *f)
{
    struct rlimit now;
    (void)f;
    int err = wr_os_prlimit((pid_t)t->pid, RLIMIT_NOFILE, NULL, &now);
    if (err)
        return err;
    if (!t->o->has_to)
        t->to = sensible(&now);
    return add_process(t);
}

static int limit_read(struct treat *t, const struct hand *h, uint64_t out[2])
{
    struct rlimit now;
    struct stat st;
    char path[32];
    (void)t;
    int err = wr_os_prlimit((pid_t)h->pid, RLIMIT_NOFILE, NULL, &now);
    if (err)
        return err;
    out[0] = now.rlim_cur;
    (void)snprintf(path, sizeof path, "/proc/%u/fd", h->pid);
    out[1] =
        wr_os_stat(path, &st) == 0 && st.st_size > 0 ? (uint64_t)st.st_size : FACTS_UNKNOWN;
    return 0;
}

static int limit_apply(struct treat *t, const struct hand *h)
{
    struct rlimit now;
    int err = wr_os_prlimit((pid_t)h->pid, RLIMIT_NOFILE, NULL, &now);
    if (err)
        return err;
    now.rlim_cur = t->to;
    if (now.rlim_max < t->to)
        now.rlim_max = t->to;
    return wr_os_prlimit((pid_t)h->pid, RLIMIT_NOFILE, &now, NULL);
}

static bool limit_well(const struct treat *t, const struct hand *h)
{
    return h->before[0] != FACTS_UNKNOWN && h->before[0] >= t->to;
}

const struct treat_kind treat_kind_limit = {
    .name = "limit",
    .label = {WORDS(K_LIMIT), WORDS(K_FDS)},
    .unit = {UNIT_COUNT,     UNIT_COUNT  },
    .gather = limit_gather,
    .read = limit_read,
    .apply = limit_apply,
    .well = limit_well,
};

/* ---- stopped ------------------------------------------------------------------------------------------ */
int treat_state(uint32_t pid, char *out)
{
    char path[32];
    struct proc_stat st = {0};
    (void)snprintf(path, sizeof path, "/proc/%u/stat", pid);
    int err = look_stat(path, &st);
    *out = st.state;
    return err == -EPROTO ? -ESRCH : err;
}

static int resume_gather(struct treat *t, const struct finding *f)
{
    const struct facts_process *p = facts_process(&t->facts.b, t->pid);
    (void)f;
    if (p && p->tracer)
        return -EBUSY; /* a debugger holds it: it would not hear the signal */
    return add_process(t);
}

static int resume_read(struct treat *t, const struct hand *h, uint64_t out[2])
{
    char state;
    (void)t;
    int err = treat_state(h->pid, &state);
    if (err == 0)
        out[0] = state == 'T';
    return err;
}

static int resume_apply(struct treat *t, const struct hand *h)
{
    for (uint32_t i = 0; i < t->n_pids; i++)
        if (t->pids[i] == h->pid)
            return wr_os_pidfd_signal(t->pidfds[i], SIGCONT);
    return -ESRCH;
}

const struct treat_kind treat_kind_resume = {
    .name = "continue",
    .label = {WORDS(K_STOPPED), {"", ""}  },
    .unit = {UNIT_NUMBER,      UNIT_COUNT},
    .gather = resume_gather,
    .read = resume_read,
    .apply = resume_apply,
};
