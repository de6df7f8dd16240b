/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/command_case.h"

#include "libweir/base/err.h"
#include "libweir/os/os.h"
#include "weir/doctor/command.h"
#include "weir/doctor/look/look.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

int cases_init(struct cases *c, const struct wr_heap *heap)
{
    *c = (struct cases){.heap = heap};
    c->none = wr_heap_alloc(heap, sizeof *c->none);
    if (!c->none)
        return -ENOMEM;
    findings_init(c->none);
    findings_settle(c->none);
    return 0;
}

static void drop_room(struct cases *c, struct case_room *r, const struct doctor_case *d)
{
    wr_heap_free(c->heap, r->findings, sizeof *r->findings);
    wr_heap_free(c->heap, r->unreadable, CASE_UNREADABLE * sizeof *r->unreadable);
    wr_heap_free(c->heap, r->pids, d->n_pids * sizeof *r->pids);
}

void cases_deinit(struct cases *c)
{
    for (uint32_t i = 0; i < c->rooms.n; i++)
        drop_room(c, &c->rooms.v[i], &c->shown.v[i]);
    wr_heap_free(c->heap, c->rooms.v, c->rooms.room * sizeof *c->rooms.v);
    wr_heap_free(c->heap, c->shown.v, c->shown.room * sizeof *c->shown.v);
    wr_heap_free(c->heap, c->none, sizeof *c->none);
    *c = (struct cases){.heap = c->heap};
}

/* ---- describing a group ------------------------------------------------------------------------------ */
static void address_text(const struct facts_socket *s, char out[64])
{
    static const uint8_t any[16];
    if (memcmp(s->local, any, sizeof any) == 0)
        (void)snprintf(out, 64, ":%u", s->local_port);
    else
        judge_addr(s, false, out);
}

struct naming {
    char *out;
    size_t room, n;
    unsigned more;
};

/* Once each: a program listens on a port for both families, and in many workers. */
static void add_address(struct naming *t, const char *text)
{
    size_t len = strlen(text);
    for (const char *p = t->out; (p = strstr(p, text)); p += len)
        if ((p == t->out || p[-1] == ' ') && (p[len] == 0 || p[len] == ' '))
            return;
    if (t->n + len + 20 > t->room || t->more > 0) {
        t->more++;
        return;
    }
    t->n += (size_t)snprintf(t->out + t->n, t->room - t->n, "%s%s", t->n ? " " : "", text);
}

static bool has_pid(const struct doctor_case *d, uint32_t pid)
{
    for (unsigned i = 0; i < d->n_pids; i++)
        if (d->pids[i] == pid)
            return true;
    return false;
}

static bool is_held(const struct facts_look *l, const struct doctor_case *d,
                    const struct case_room *r, const struct facts_socket *s)
{
    const struct facts_fd *fd;
    if (d->n_pids == 0)
        return s->local_port == r->port;
    for (uint32_t k = 0; (fd = facts_owner(l, s->inode, k)); k++)
        if (has_pid(d, fd->pid))
            return true;
    return false;
}

static void name_listeners(const struct facts_look *l, const struct doctor_case *d,
                           struct case_room *r)
{
    struct naming t = {.out = r->listener, .room = sizeof r->listener};
    char text[64];
    for (uint32_t i = 0; i < l->sockets.n; i++) {
        const struct facts_socket *s = &l->sockets.v[i];
        if (s->proto != FACTS_TCP || s->state != FACTS_LISTEN || !is_held(l, d, r, s))
            continue;
        address_text(s, text);
        add_address(&t, text);
    }
    if (t.more > 0)
        (void)snprintf(t.out + t.n, t.room - t.n, " +%u", t.more);
}

/* ---- what could not be read ----------------------------------------------------------------------------- */
static struct unreadable *next_unreadable(struct cases *c, struct doctor_case *d,
                                          struct case_room *r)
{
    if (!r->unreadable)
        r->unreadable = wr_heap_array(c->heap, CASE_UNREADABLE, sizeof *r->unreadable);
    d->unreadable = r->unreadable;
    if (!r->unreadable || d->n_unreadable == CASE_UNREADABLE)
        return NULL;
    return &r->unreadable[d->n_unreadable++];
}

static void note_process(struct cases *c, struct doctor_case *d, struct case_room *r,
                         const struct facts_process *p, uint32_t looker)
{
    static const struct {
        uint32_t bit;
        const char *text;
    } parts[] = {
        {FACTS_UNREAD_STAT,    "state"          },
        {FACTS_UNREAD_FDS,     "descriptors"    },
        {FACTS_UNREAD_FDINFO,  "epoll sets"     },
        {FACTS_UNREAD_THREADS, "threads"        },
        {FACTS_UNREAD_SYSCALL, "system calls"   },
        {FACTS_UNREAD_MEMORY,  "words of memory"},
    };
    char what[sizeof((struct unreadable *)0)->what];
    size_t n =
        (size_t)snprintf(what, sizeof what, "pid %u %.15s (uid %u)", p->pid, p->comm, p->uid);
    size_t before = n;
    for (size_t i = 0; i < WR_ARRAY_LEN(parts); i++)
        if ((p->unread & parts[i].bit) && n < sizeof what)
            n += (size_t)snprintf(what + n, sizeof what - n, "%s %s", n > before ? "," : ":",
                                  parts[i].text);
    struct unreadable *u = n > before ? next_unreadable(c, d, r) : NULL;
    if (!u)
        return;
    memcpy(u->what, what, sizeof what);
    (void)snprintf(u->why, sizeof u->why, "%s",
                   looker == 0        ? "refused even to root"
                   : p->uid == looker ? "closed even to its own user"
                                      : "another user's");
}

static void note_gaps(struct cases *c, struct doctor_case *d, struct case_room *r,
                      const struct facts_look *l)
{
    for (uint32_t i = 0; i < l->gaps.n; i++) {
        const struct facts_gap *g = &l->gaps.v[i];
        if (g->pid != 0 && !has_pid(d, g->pid))
            continue;
        struct unreadable *u = next_unreadable(c, d, r);
        if (!u)
            return;
        (void)snprintf(u->what, sizeof u->what, "%.90s", facts_text(l, g->what));
        (void)snprintf(u->why, sizeof u->why, "%s", wr_err_text(g->error));
        u->minor = g->error != -EACCES && g->error != -EPERM;
    }
}

static void note_hidden(struct cases *c, struct doctor_case *d, struct case_room *r,
                        uint32_t uid, uint32_t looker)
{
    struct unreadable *u = next_unreadable(c, d, r);
    r->blind = true;
    if (!u)
        return;
    (void)snprintf(u->what, sizeof u->what, "whoever listens on :%u (uid %u)", r->port, uid);
    (void)snprintf(u->why, sizeof u->why, "%s",
                   looker == 0 ? "its process is not seen from here" : "another user's");
}

static void note_unreadable(struct cases *c, struct doctor_case *d, struct case_room *r,
                            const struct facts_look *l, const struct target_group *g)
{
    for (unsigned i = 0; i < d->n_pids; i++) {
        const struct facts_process *p = facts_process(l, d->pids[i]);
        if (!p)
            continue;
        r->blind |= (p->unread & (FACTS_UNREAD_FDS | FACTS_UNREAD_FDINFO)) != 0;
        note_process(c, d, r, p, l->looker);
    }
    if (d->n_pids == 0)
        note_hidden(c, d, r, g->uid, l->looker);
    if (c->shown.n == 0) /* those of the machine stand with the first */
        note_gaps(c, d, r, l);
}

/* ---- judging -------------------------------------------------------------------------------------------- */
static void describe(struct cases *c, struct doctor_case *d, struct case_room *r,
                     const struct facts *f, const struct target_group *g)
{
    const struct facts_look *l = &f->b;
    const struct facts_process *lead = facts_process(l, g->lead);
    const struct facts_look *of = lead ? l : &f->a;
    if (!lead)
        lead = facts_process(of, g->lead);
    const char *script = lead ? facts_text(of, lead->script) : "";
    /* A program that gave itself a name is called by it. */
    bool runs = *script && strncmp(lead->comm, script, strnlen(lead->comm, 15)) != 0 &&
                proc_is_interpreter(wr_span(lead->comm, strnlen(lead->comm, 15)));
    if (lead)
        (void)snprintf(r->name, sizeof r->name, "%.15s%s%.40s", lead->comm, runs ? " " : "",
                       runs ? script : "");
    else
        (void)snprintf(r->name, sizeof r->name, ":%u", r->port);
    for (unsigned i = 0; i < d->n_pids; i++) {
        const struct facts_process *p = facts_process(l, d->pids[i]);
        d->processes += p != NULL;
        d->threads += p ? p->threads : 0;
        for (uint32_t k = 0; p && k < l->weirs.n; k++)
            if (l->weirs.v[k].pid == p->pid)
                d->books = l;
        for (uint32_t k = 0; p && k < l->weir_pools.n; k++)
            if (l->weir_pools.v[k].pid == p->pid)
                d->books = l;
    }
    for (uint32_t i = 0; i < l->fds.n; i++)
        d->connections += l->fds.v[i].kind == FACTS_FD_SOCKET && has_pid(d, l->fds.v[i].pid);
    d->pid = (int32_t)g->lead;
    name_listeners(l, d, r);
    note_unreadable(c, d, r, l, g);
}

/* A finding that names no process is about the one that leads: treatments are given to a pid. */
static void name_leader(struct findings *f, const struct doctor_case *d,
                        const struct case_room *r)
{
    for (unsigned i = 0; i < f->n; i++) {
        struct subject *s = &f->row[i].subject;
        if (s->pid == 0 && d->pid > 0 && rule_get(f->row[i].rule)->scope != SCOPE_HOST)
            finding_subject(&f->row[i], d->pid, 0, wr_span_str(r->name));
    }
}

static int judge_one(struct cases *c, const struct facts *f, const struct case_options *o,
                     struct doctor_case *d, struct case_room *r)
{
    const struct judge_target t = {.pids = d->pids,
                                   .n_pids = d->n_pids,
                                   .ports = &r->port,
                                   .n_ports = d->n_pids == 0,
                                   .limits = o->limits};
    r->findings = wr_heap_alloc(c->heap, sizeof *r->findings);
    int err = r->findings ? judge_all(f, &t, r->findings) : -ENOMEM;
    if (r->findings && (err || r->findings->n == 0)) {
        wr_heap_free(c->heap, r->findings, sizeof *r->findings);
        r->findings = NULL;
    }
    if (r->findings)
        name_leader(r->findings, d, r);
    return err;
}

static int add_case(struct cases *c, const struct doctor_case *d, const struct case_room *r)
{
    int err = FACTS_ADD(&c->shown, c->heap, d);
    if (!err && (err = FACTS_ADD(&c->rooms, c->heap, r)) != 0)
        c->shown.n--;
    return err;
}

static int one_group(struct cases *c, const struct facts *f, const struct target_groups *g,
                     const struct target_group *row, const struct case_options *o)
{
    struct case_room r = {.lead = row->lead, .port = row->port};
    struct doctor_case d = {.n_pids = row->n, .uid = f->b.looker};
    int err = 0;
    if (o->behind)
        (void)snprintf(r.behind, sizeof r.behind, "%.63s", o->behind);
    if (row->n > 0) {
        r.pids = wr_heap_array(c->heap, row->n, sizeof *r.pids);
        if (!r.pids)
            return -ENOMEM;
        memcpy(r.pids, g->pids.v + row->first, row->n * sizeof *r.pids);
    }
    d.pids = r.pids;
    describe(c, &d, &r, f, row);
    err = judge_one(c, f, o, &d, &r);
    if (!err)
        err = add_case(c, &d, &r);
    if (err)
        drop_room(c, &r, &d);
    return err;
}

static bool is_machine(const struct finding *f)
{
    return rule_get(f->rule)->scope == SCOPE_HOST;
}

/* What several cases say of the machine becomes one case. */
static int split_machine(struct cases *c)
{
    struct case_room r = {.name = "this machine"};
    struct doctor_case d = {.machine = true, .processes = 1};
    r.findings = wr_heap_alloc(c->heap, sizeof *r.findings);
    if (!r.findings)
        return -ENOMEM;
    findings_init(r.findings);
    for (uint32_t i = 0; i < c->rooms.n; i++) {
        struct findings *f = c->rooms.v[i].findings;
        if (!f || c->shown.v[i].machine)
            continue;
        findings_move(f, is_machine, r.findings);
        findings_settle(f);
    }
    findings_settle(r.findings);
    int err = r.findings->n > 0 ? add_case(c, &d, &r) : 1;
    if (err)
        drop_room(c, &r, &d);
    return err < 0 ? err : 0;
}

int cases_judge(struct cases *c, const struct facts *f, const struct target_groups *g,
                const struct case_options *o)
{
    int err = 0;
    for (uint32_t i = 0; !err && i < g->rows.n; i++)
        err = one_group(c, f, g, &g->rows.v[i], o);
    if (!err && o->whole_host)
        err = split_machine(c);
    return err;
}

/* ---- several judgements ------------------------------------------------------------------------------- */
static bool same_case(const struct cases *a, uint32_t i, const struct cases *b, uint32_t k)
{
    return a->rooms.v[i].lead == b->rooms.v[k].lead &&
           a->rooms.v[i].port == b->rooms.v[k].port &&
           a->shown.v[i].machine == b->shown.v[k].machine;
}

static int merge_findings(struct cases *c, struct case_room *into, const struct findings *more)
{
    if (!more)
        return 0;
    if (!into->findings) {
        into->findings = wr_heap_alloc(c->heap, sizeof *into->findings);
        if (!into->findings)
            return -ENOMEM;
        findings_init(into->findings);
    }
    findings_merge(into->findings, more);
    findings_settle(into->findings);
    return 0;
}

static int copy_case(struct cases *c, const struct cases *from, uint32_t k)
{
    struct doctor_case d = from->shown.v[k];
    struct case_room r = from->rooms.v[k];
    r.findings = NULL, r.unreadable = NULL, r.pids = NULL;
    d.pids = NULL, d.n_pids = 0, d.unreadable = NULL, d.n_unreadable = 0, d.books = NULL;
    return add_case(c, &d, &r);
}

int cases_merge(struct cases *c, const struct cases *more)
{
    int err = 0;
    for (uint32_t k = 0; !err && k < more->rooms.n; k++) {
        uint32_t i = 0;
        while (i < c->rooms.n && !same_case(c, i, more, k))
            i++;
        if (i == c->rooms.n)
            err = copy_case(c, more, k);
        if (!err)
            err = merge_findings(c, &c->rooms.v[i], more->rooms.v[k].findings);
    }
    return err;
}

/* ---- the report --------------------------------------------------------------------------------------- */
static enum doctor_exit verdict(const struct cases *c, bool whole_host, enum severity fail_on)
{
    enum severity worst = SEVERITY_INFO;
    unsigned blind = 0;
    for (uint32_t i = 0; i < c->rooms.n; i++) {
        enum severity s;
        if (findings_worst(c->shown.v[i].findings, &s) && s > worst)
            worst = s;
        blind += c->rooms.v[i].blind;
    }
    if (worst >= fail_on && worst > SEVERITY_INFO)
        return worst == SEVERITY_CRIT ? DOCTOR_CRITICAL : DOCTOR_WARNING;
    return blind > 0 && (!whole_host || blind == c->rooms.n) ? DOCTOR_UNDECIDED : DOCTOR_WELL;
}

#define SLOW_MS 1000 /* where the pauses were used up, or there is very much to see */

static uint32_t slow_ms(const struct facts *f)
{
    uint64_t longest = f->a.took_ns > f->b.took_ns ? f->a.took_ns : f->b.took_ns;
    return longest / 1000000 > SLOW_MS ? (uint32_t)(longest / 1000000) : 0;
}

int cases_report(struct cases *c, const struct facts *f, bool whole_host, enum severity fail_on)
{
    uint64_t span = f->b.at_ns > f->a.at_ns ? f->b.at_ns - f->a.at_ns : 0;
    for (uint32_t i = 0; i < c->rooms.n; i++) {
        struct doctor_case *d = &c->shown.v[i];
        const struct case_room *r = &c->rooms.v[i];
        d->name = r->name;
        d->listener = r->listener;
        d->behind = *r->behind ? r->behind : NULL;
        d->findings = r->findings ? r->findings : c->none;
    }
    c->report = (struct doctor_report){.cases = c->shown.v,
                                       .n_cases = c->shown.n,
                                       .sockets = f->b.sockets.n,
                                       .wall_ns = f->a.wall_ms * 1000000,
                                       .span_ms = (uint32_t)((span + 500000) / 1000000),
                                       .slow_ms = slow_ms(f),
                                       .looks = 2,
                                       .uid = f->b.looker};
    c->report.exit = (int)verdict(c, whole_host, fail_on);
    if (!whole_host)
        return 0;
    c->report.host = c->host;
    if (wr_os_hostname(c->host, sizeof c->host) < 0)
        (void)snprintf(c->host, sizeof c->host, "this host");
    return 0;
}
