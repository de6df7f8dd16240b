/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One treatment, from the command line to the exit status.
 */
#include "weir/doctor/look/examine.h"
#include "weir/doctor/treat/treat_private.h"

#include "libweir/base/err.h"
#include "libweir/os/os.h"

#include <errno.h>
#include <stdio.h>

/* ---- the process ------------------------------------------------------------------------------------ */
static int no_process(const struct treat *t)
{
    if (t->o->pid)
        return treat_refuse(t, TREAT_NO_TARGET, WORD(t->o->lang, T_NO_PROCESS), t->o->pid);
    return treat_refuse(t, TREAT_NO_TARGET, WORD(t->o->lang, T_NO_PORT), t->o->port);
}

static int hold(struct treat *t, uint32_t pid)
{
    int fd = wr_os_pidfd_open((pid_t)pid);
    if (fd < 0)
        return fd;
    t->pidfds[t->n_pids] = fd;
    t->pids[t->n_pids++] = pid;
    return 0;
}

/* Before the first look: what it sees belongs to these processes as long as the pidfds live. */
static int hold_all(struct treat *t)
{
    uint32_t pids[TREAT_PIDS] = {t->o->pid};
    bool hidden = false;
    int n = t->o->pid ? 1 : examine_find(t->o->port, pids, TREAT_PIDS, &hidden);
    for (int i = 0; i < n && t->n_pids < TREAT_PIDS; i++) {
        int err = hold(t, pids[i]);
        if (err && err != -ESRCH)
            return treat_refuse(t, TREAT_NO_PRIVILEGE, WORD(t->o->lang, T_HOLD), pids[i],
                                wr_err_name(err));
    }
    if (t->n_pids > 0)
        return 0;
    if (hidden)
        return treat_refuse(t, TREAT_NO_PRIVILEGE, WORD(t->o->lang, T_HIDDEN), t->o->port);
    return no_process(t);
}

static void drop(struct treat *t)
{
    for (uint32_t i = 0; i < t->n_pids; i++)
        (void)wr_os_close(t->pidfds[i]);
    FACTS_DROP(&t->hands, t->heap);
    if (t->found)
        wr_heap_free(t->heap, t->found, sizeof *t->found);
    facts_deinit(&t->facts);
}

/* ---- looking ------------------------------------------------------------------------------------------- */
static int look(struct treat *t)
{
    struct examine what = {.pids = t->pids, .n_pids = t->n_pids, .wait_ms = t->o->wait_ms};
    struct judge_target target = {
        .pids = t->pids, .n_pids = t->n_pids, .limits = &t->o->limits};
    facts_deinit(&t->facts);
    facts_init(&t->facts, t->heap);
    int r = examine(&what, &t->facts);
    if (r == -ESRCH || r == EXAMINE_ENDED)
        return treat_refuse(t, TREAT_NO_TARGET, WORD(t->o->lang, T_ENDED));
    if (r < 0)
        return treat_refuse(t, TREAT_NO_PRIVILEGE, WORD(t->o->lang, T_EXAMINE), wr_err_name(r));
    r = judge_all(&t->facts, &target, t->found);
    return r ? treat_refuse(t, TREAT_NO_HELP, WORD(t->o->lang, T_JUDGE), wr_err_name(r)) : 0;
}

static const struct finding *finding_of_rule(const struct treat *t, uint32_t pid)
{
    for (unsigned i = 0; i < t->found->n; i++) {
        const struct finding *f = &t->found->row[i];
        if (f->rule == t->o->rule &&
            (pid == 0 || f->subject.pid <= 0 || (uint32_t)f->subject.pid == pid))
            return f;
    }
    return NULL;
}

/* Is the finding missing because its evidence could not be read? */
static bool blind(const struct treat *t)
{
    for (uint32_t i = 0; i < t->n_pids; i++) {
        const struct facts_process *p = facts_process(&t->facts.b, t->pids[i]);
        if (p && p->unread & (FACTS_UNREAD_FDS | FACTS_UNREAD_FDINFO | FACTS_UNREAD_SYSCALL))
            return true;
    }
    return false;
}

static int decide(struct treat *t)
{
    const struct finding *f = finding_of_rule(t, 0);
    if (!f && blind(t))
        return treat_refuse(t, TREAT_NO_PRIVILEGE, WORD(t->o->lang, T_BLIND), wr_os_uid());
    if (!f)
        return treat_refuse(t, TREAT_REFUSED, WORD(t->o->lang, T_NOT_FOUND),
                            rule_get(t->o->rule)->id);
    t->finding = *f;
    if (f->subject.pid > 0)
        t->pid = (uint32_t)f->subject.pid;
    return 0;
}

/* ---- hands ------------------------------------------------------------------------------------------- */
static int denied(struct treat *t, const char *what, int err)
{
    const char *remedy = WORD(t->o->lang, T_AS_ROOT);
    if (t->treatment->kind == &treat_kind_limit)
        remedy = WORD(t->o->lang, T_HARD_LIMIT);
    return treat_refuse(t, TREAT_NO_PRIVILEGE, WORD(t->o->lang, T_DENIED), what,
                        wr_err_name(err), remedy);
}

static bool is_denied(int err)
{
    return err == -EPERM || err == -EACCES;
}

/* Reads all; those that are well already, or are gone, drop out. */
static int read_before(struct treat *t)
{
    const struct treat_kind *k = t->treatment->kind;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < t->hands.n; i++) {
        struct hand *h = &t->hands.v[i];
        h->before[0] = h->before[1] = h->after[0] = h->after[1] = FACTS_UNKNOWN;
        int err = k->read(t, h, h->before);
        if (is_denied(err))
            return denied(t, h->name, err);
        if (err == 0 && !(k->well && k->well(t, h)))
            t->hands.v[kept++] = *h;
    }
    t->hands.n = kept;
    if (kept > 0)
        return 0;
    return treat_refuse(t, TREAT_REFUSED, WORD(t->o->lang, T_NOTHING),
                        rule_get(t->o->rule)->id);
}

static int gather(struct treat *t)
{
    int err = t->treatment->kind->gather(t, t->o->undo ? NULL : &t->finding);
    if (is_denied(err))
        return denied(t, WORD(t->o->lang, T_DESCRIPTORS), err);
    if (err == -EBUSY)
        return treat_refuse(t, TREAT_REFUSED, WORD(t->o->lang, T_TRACED),
                            facts_process(&t->facts.b, t->pid)->tracer);
    if (err)
        return treat_refuse(t, TREAT_REFUSED, WORD(t->o->lang, T_LIST), wr_err_name(err));
    return read_before(t);
}

/* ---- doing ------------------------------------------------------------------------------------------- */
static bool lives(const struct treat *t)
{
    for (uint32_t i = 0; i < t->n_pids; i++)
        if (t->pids[i] == t->pid)
            return wr_os_pidfd_alive(t->pidfds[i]) == 1;
    return false;
}

static int apply(struct treat *t)
{
    uint32_t failed = 0;
    int last = 0;
    if (!lives(t))
        return treat_refuse(t, TREAT_NO_TARGET, WORD(t->o->lang, T_GONE));
    for (uint32_t i = 0; i < t->hands.n; i++) {
        struct hand *h = &t->hands.v[i];
        h->error = t->treatment->kind->apply(t, h);
        failed += h->error != 0;
        last = h->error ? h->error : last;
    }
    if (failed < t->hands.n)
        return 0;
    if (is_denied(last))
        return denied(t, t->hands.v[0].name, last);
    return treat_refuse(t, TREAT_NO_HELP, WORD(t->o->lang, T_FAILED), wr_err_name(last));
}

static void read_after(struct treat *t)
{
    for (uint32_t i = 0; i < t->hands.n; i++)
        if (t->treatment->kind->read(t, &t->hands.v[i], t->hands.v[i].after) != 0)
            t->hands.v[i].after[0] = FACTS_UNKNOWN;
}

/* Looks again: done is what the doctor no longer finds. */
static int check(struct treat *t)
{
    int r = look(t);
    read_after(t);
    bool helped = r == 0 && (t->o->undo || !finding_of_rule(t, t->pid));
    if (t->o->json)
        treat_print_json(t, helped ? TREAT_DONE : TREAT_NO_HELP, "", t->found);
    else
        treat_print_result(t, helped, t->found);
    treat_log(t, helped);
    return helped ? TREAT_DONE : TREAT_NO_HELP;
}

static int consent(const struct treat *t)
{
    if (t->o->yes)
        return 0;
    if (!wr_os_is_terminal(0))
        return treat_refuse(t, TREAT_REFUSED, WORD(t->o->lang, T_NOBODY));
    return treat_ask(t) ? 0 : treat_refuse(t, TREAT_REFUSED, WORD(t->o->lang, T_NOT_CONFIRMED));
}

static int run(struct treat *t)
{
    int r = hold_all(t);
    if (r)
        return r;
    t->pid = t->pids[0];
    r = look(t);
    if (r == 0 && !t->o->undo)
        r = decide(t);
    if (r == 0)
        r = gather(t);
    if (r)
        return r;
    if (!t->o->json)
        treat_print_plan(t);
    if (t->o->dry_run) {
        if (t->o->json)
            treat_print_json(t, TREAT_DONE, "", t->found);
        return TREAT_DONE;
    }
    r = consent(t);
    if (r == 0)
        r = apply(t);
    return r ? r : check(t);
}

int treat(const struct treat_options *o)
{
    struct treat t = {
        .o = o, .treatment = treatment_find(o->rule, o->way), .heap = wr_os_heap()};
    t.to = o->has_to ? o->to : t.treatment->to;
    facts_init(&t.facts, t.heap);
    t.found = wr_heap_zalloc(t.heap, sizeof *t.found);
    int r = t.found ? run(&t) : treat_refuse(&t, TREAT_NO_HELP, WORD(o->lang, T_MEMORY));
    drop(&t);
    return r;
}

int treat_main(int argc, char **argv)
{
    struct treat_options o;
    int r = treat_parse(argc, argv, &o);
    if (r)
        return r == TREAT_USAGE ? TREAT_USAGE : TREAT_DONE;
    return treat(&o);
}
