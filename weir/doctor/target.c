/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/target.h"

#include "weir/doctor/report/words.h"

#include "libweir/base/num.h"

#include <errno.h>
#include <stdlib.h>

/* ---- the word ------------------------------------------------------------------------------------- */
static int parse_port(struct wr_span digits, enum doctor_lang lang, struct target *out,
                      const char **out_why)
{
    uint64_t port;
    if (wr_num_parse_between(digits, 1, 65535, &port)) {
        *out_why = WORD(lang, TG_PORT);
        return -EINVAL;
    }
    out->kind = TARGET_PORT;
    out->port = (uint16_t)port;
    return 0;
}

static int parse_address(struct wr_span word, ptrdiff_t colon, enum doctor_lang lang,
                         struct target *out, const char **out_why)
{
    struct wr_span ip = wr_span_sub(word, 0, (size_t)colon);
    if (wr_span_has_prefix(ip, WR_LIT("[")) && wr_span_has_suffix(ip, WR_LIT("]")))
        ip = wr_span_sub(ip, 1, ip.n - 2);
    if (!wr_span_eq(ip, WR_LIT("*")) && ip.n > 0 && wr_addr_parse_ip(ip, &out->addr)) {
        *out_why = WORD(lang, TG_ADDRESS);
        return -EINVAL;
    }
    return parse_port(wr_span_sub(word, (size_t)colon + 1, word.n), lang, out, out_why);
}

static ptrdiff_t last_colon(struct wr_span word)
{
    for (size_t i = word.n; i > 0; i--)
        if (word.p[i - 1] == ':')
            return (ptrdiff_t)i - 1;
    return -1;
}

static bool named(struct wr_span word, struct wr_span prefix, enum target_kind kind,
                  struct target *out)
{
    if (!wr_span_has_prefix(word, prefix))
        return false;
    out->kind = kind;
    out->name = wr_span_sub(word, prefix.n, word.n);
    return true;
}

static bool all_digits(struct wr_span word)
{
    for (size_t i = 0; i < word.n; i++)
        if (word.p[i] < '0' || word.p[i] > '9')
            return false;
    return word.n > 0;
}

int target_parse(struct wr_span word, enum doctor_lang lang, struct target *out,
                 const char **out_why)
{
    uint64_t pid;
    *out = (struct target){.kind = TARGET_NAME, .name = word};
    if (named(word, WR_LIT("cgroup:"), TARGET_CGROUP, out) ||
        named(word, WR_LIT("unit:"), TARGET_UNIT, out)) {
        *out_why = WORD(lang, TG_NAME);
        return out->name.n ? 0 : -EINVAL;
    }
    if (all_digits(word)) {
        *out_why = WORD(lang, TG_PID);
        if (wr_num_parse_between(word, 1, 4194304, &pid))
            return -EINVAL;
        out->kind = TARGET_PID;
        out->pid = (uint32_t)pid;
        return 0;
    }
    ptrdiff_t colon = last_colon(word);
    if (colon >= 0)
        return parse_address(word, colon, lang, out, out_why);
    *out_why = WORD(lang, TG_KIND);
    return word.n ? 0 : -EINVAL;
}

/* ---- which processes ------------------------------------------------------------------------------- */
#define NOBODY UINT32_MAX

struct search {
    const struct facts_look *look;
    const struct target *target;
    uint32_t self;
    uint32_t
        *group; /* of each process of the look: place of the first of its group, or NOBODY */
};

void target_groups_init(struct target_groups *g, const struct wr_heap *heap)
{
    *g = (struct target_groups){.heap = heap};
}

void target_groups_deinit(struct target_groups *g)
{
    wr_heap_free(g->heap, g->pids.v, (size_t)g->pids.room * sizeof *g->pids.v);
    wr_heap_free(g->heap, g->rows.v, (size_t)g->rows.room * sizeof *g->rows.v);
    target_groups_init(g, g->heap);
}

static struct wr_span comm_of(const struct facts_process *p)
{
    return wr_span(p->comm, strnlen(p->comm, sizeof p->comm));
}

/* The path of a program that was replaced on disk ends with " (deleted)". */
static struct wr_span exe_of(const struct facts_look *l, const struct facts_process *p)
{
    struct wr_span exe = wr_span_str(facts_text(l, p->exe)), gone = WR_LIT(" (deleted)");
    return wr_span_has_suffix(exe, gone) ? wr_span_sub(exe, 0, exe.n - gone.n) : exe;
}

bool target_same_program(const struct facts_look *l, const struct facts_process *a,
                         const struct facts_process *b)
{
    struct wr_span x = exe_of(l, a), y = exe_of(l, b);
    if (x.n && y.n)
        return wr_span_eq(x, y);
    return a->uid == b->uid && wr_span_eq(comm_of(a), comm_of(b));
}

static uint32_t place(const struct facts_look *l, uint32_t pid)
{
    const struct facts_process *p = facts_process(l, pid);
    return p ? (uint32_t)(p - l->processes.v) : NOBODY;
}

static bool listens(const struct facts_socket *s)
{
    return s->proto == FACTS_TCP && s->state == FACTS_LISTEN;
}

static bool is_any(const struct facts_socket *s)
{
    static const uint8_t zero[16];
    return memcmp(s->local, zero, sizeof zero) == 0;
}

/* exact: the very address; else also a listener on all addresses. */
static bool at_address(const struct facts_socket *s, const struct target *t, bool exact)
{
    if (!listens(s) || s->local_port != t->port)
        return false;
    if (t->addr.kind == WR_ADDR_NONE || (!exact && is_any(s)))
        return true;
    if (t->addr.kind == WR_ADDR_V6)
        return s->family == AF_INET6 && memcmp(s->local, t->addr.v6, 16) == 0;
    return s->family == AF_INET && memcmp(s->local, t->addr.v4, 4) == 0;
}

static bool same_listener(const struct facts_socket *a, const struct facts_socket *b)
{
    return a->family == b->family && a->local_port == b->local_port &&
           memcmp(a->local, b->local, sizeof a->local) == 0;
}

/* ---- groups: each is named by one of its members; the lower place wins ---- */
static void join(struct search *s, uint32_t a, uint32_t b)
{
    uint32_t from = s->group[a] > s->group[b] ? s->group[a] : s->group[b];
    uint32_t to = s->group[a] > s->group[b] ? s->group[b] : s->group[a];
    for (uint32_t i = 0; from != to && i < s->look->processes.n; i++)
        if (s->group[i] == from)
            s->group[i] = to;
}

static bool may_join(const struct search *s, uint32_t i, uint32_t k)
{
    const struct facts_process *p = s->look->processes.v;
    return s->target->kind != TARGET_HOST && s->target->kind != TARGET_NAME
               ? true
               : target_same_program(s->look, &p[i], &p[k]);
}

static void take(struct search *s, uint32_t pid)
{
    uint32_t i = place(s->look, pid);
    if (i != NOBODY && s->group[i] == NOBODY && pid != s->self)
        s->group[i] = i;
}

/* Who holds this listener joins whoever holds another one of the same address. By name nobody is added so. */
static void take_owners(struct search *s, const struct facts_socket *listener,
                        uint32_t *io_with)
{
    const struct facts_fd *fd;
    for (uint32_t k = 0; (fd = facts_owner(s->look, listener->inode, k)); k++) {
        if (s->target->kind != TARGET_NAME)
            take(s, fd->pid);
        uint32_t i = place(s->look, fd->pid);
        if (i == NOBODY || s->group[i] == NOBODY)
            continue;
        if (*io_with != NOBODY && may_join(s, i, *io_with))
            join(s, i, *io_with);
        *io_with = i;
    }
}

static void take_port(struct search *s)
{
    const struct facts_look *l = s->look;
    uint32_t with = NOBODY;
    for (int exact = 1; exact >= 0 && with == NOBODY; exact--)
        for (uint32_t i = 0; i < l->sockets.n; i++)
            if (at_address(&l->sockets.v[i], s->target, exact))
                take_owners(s, &l->sockets.v[i], &with);
}

static void take_listeners(struct search *s)
{
    const struct facts_look *l = s->look;
    for (uint32_t i = 0; i < l->sockets.n; i++) {
        uint32_t with = NOBODY;
        if (!listens(&l->sockets.v[i]))
            continue;
        for (uint32_t k = i; k < l->sockets.n; k++)
            if (listens(&l->sockets.v[k]) && same_listener(&l->sockets.v[i], &l->sockets.v[k]))
                take_owners(s, &l->sockets.v[k], &with);
    }
}

static struct wr_span base_name(struct wr_span path)
{
    for (size_t i = path.n; i > 0; i--)
        if (path.p[i - 1] == '/')
            return wr_span_sub(path, i, path.n);
    return path;
}

static bool has_name(const struct search *s, const struct facts_process *p)
{
    struct wr_span want = s->target->name, comm = comm_of(p);
    if (wr_span_eq(base_name(exe_of(s->look, p)), want) ||
        wr_span_eq(wr_span_str(facts_text(s->look, p->script)), want))
        return true;
    return wr_span_eq(comm,
                      want.n > 15 ? wr_span_sub(want, 0, 15) : want); /* the kernel cuts */
}

/* "0::/system.slice/nginx.service": the path, without the hierarchy before it. */
static struct wr_span cgroup_of(const struct facts_look *l, const struct facts_process *p)
{
    struct wr_span line = wr_span_str(facts_text(l, p->cgroup)), piece;
    if (!wr_span_split(&line, ':', &piece) || !wr_span_split(&line, ':', &piece))
        return WR_LIT("");
    return line;
}

static bool in_cgroup(struct wr_span path, struct wr_span want)
{
    while (want.n > 1 && want.p[want.n - 1] == '/')
        want.n--;
    return wr_span_has_prefix(path, want) &&
           (path.n == want.n || path.p[want.n] == '/' || wr_span_eq(want, WR_LIT("/")));
}

static bool in_unit(struct wr_span path, struct wr_span unit)
{
    struct wr_span piece, rest = path;
    while (wr_span_split(&rest, '/', &piece)) {
        if (wr_span_eq(piece, unit))
            return true;
        if (wr_span_has_prefix(piece, unit) && /* "nginx" for "nginx.service" */
            wr_span_eq(wr_span_sub(piece, unit.n, piece.n), WR_LIT(".service")))
            return true;
    }
    return false;
}

static bool is_meant(const struct search *s, const struct facts_process *p)
{
    switch (s->target->kind) {
    case TARGET_PID:
        return p->pid == s->target->pid;
    case TARGET_NAME:
        return has_name(s, p);
    case TARGET_CGROUP:
        return in_cgroup(cgroup_of(s->look, p), s->target->name);
    case TARGET_UNIT:
        return in_unit(cgroup_of(s->look, p), s->target->name);
    case TARGET_HOST:
    case TARGET_PORT:
        break;
    }
    return false;
}

static void take_processes(struct search *s)
{
    const struct facts_look *l = s->look;
    for (uint32_t i = 0; i < l->processes.n; i++) {
        const struct facts_process *p = &l->processes.v[i];
        if (is_meant(s, p) && (p->pid != s->self || s->target->kind == TARGET_PID))
            s->group[i] = i;
    }
}

/* A parent and its child that are both meant are one target. */
static void join_families(struct search *s)
{
    const struct facts_look *l = s->look;
    uint32_t first = NOBODY;
    for (uint32_t i = 0; i < l->processes.n; i++) {
        if (s->group[i] == NOBODY)
            continue;
        uint32_t parent = place(l, l->processes.v[i].parent);
        if (parent != NOBODY && s->group[parent] != NOBODY && may_join(s, i, parent))
            join(s, i, parent);
        if (s->target->kind != TARGET_HOST && s->target->kind != TARGET_NAME) {
            first = first == NOBODY ? i : first;
            join(s, i, first);
        }
    }
}

/* Workers that are not meant themselves follow their master: each walks up until it meets one who is. A parent
 * can be made a child of its child by a pid that was given away: the walk is bounded. */
static void take_workers(struct search *s)
{
    const struct facts_look *l = s->look;
    for (uint32_t i = 0; i < l->processes.n; i++) {
        uint32_t at = i;
        for (unsigned steps = 0; s->group[i] == NOBODY && steps < 64; steps++) {
            uint32_t up = place(l, l->processes.v[at].parent);
            if (up == NOBODY || l->processes.v[i].pid == s->self ||
                !target_same_program(l, &l->processes.v[at], &l->processes.v[up]))
                break;
            s->group[i] = s->group[up];
            at = up;
        }
    }
}

/* ---- the answer ------------------------------------------------------------------------------------- */
static int by_pid(const void *a, const void *b)
{
    const struct target_group *x = a, *y = b;
    return x->lead == y->lead  ? 0
           : x->lead == 0      ? 1
           : y->lead == 0      ? -1
           : x->lead < y->lead ? -1
                               : 1;
}

/* The one whose parent is not among them leads: the master. Of several the first that was started. */
static uint32_t leader(const struct search *s, uint32_t group)
{
    const struct facts_look *l = s->look;
    const struct facts_process *best = NULL;
    for (uint32_t i = 0; i < l->processes.n; i++) {
        const struct facts_process *p = &l->processes.v[i];
        if (s->group[i] != group)
            continue;
        uint32_t up = place(l, p->parent);
        if (up != NOBODY && up != i && s->group[up] == group)
            continue;
        if (!best || p->start < best->start)
            best = p;
    }
    return best ? best->pid : l->processes.v[group].pid;
}

static bool is_known(const struct target_groups *g, uint32_t lead)
{
    for (uint32_t i = 0; i < g->rows.n; i++)
        if (lead && g->rows.v[i].lead == lead)
            return true;
    return false;
}

static int put_group(const struct search *s, uint32_t group, struct target_groups *io)
{
    const struct facts_look *l = s->look;
    uint32_t lead = leader(s, group);
    struct target_group row = {.first = io->pids.n,
                               .lead = lead,
                               .uid = facts_process(l, lead)->uid,
                               .net = facts_process(l, lead)->net,
                               .port = s->target->port};
    int err = 0;
    if (is_known(io, lead)) /* "nginx :80" means it twice */
        return 0;
    for (uint32_t i = 0; !err && i < l->processes.n; i++)
        if (s->group[i] == group)
            err = FACTS_ADD(&io->pids, io->heap, &l->processes.v[i].pid);
    row.n = io->pids.n - row.first;
    if (!err)
        err = FACTS_ADD(&io->rows, io->heap, &row);
    return err;
}

/* Listeners that nobody is seen to hold. */
static int put_hidden(const struct search *s, struct target_groups *io, int *io_meant)
{
    const struct facts_look *l = s->look;
    int err = 0;
    for (uint32_t i = 0; !err && i < l->sockets.n; i++) {
        const struct facts_socket *x = &l->sockets.v[i];
        if (!listens(x) || facts_owner(l, x->inode, 0) ||
            (s->target->kind == TARGET_PORT && !at_address(x, s->target, false)))
            continue;
        bool known = false;
        ++*io_meant;
        for (uint32_t k = 0; !known && k < io->rows.n; k++)
            known = io->rows.v[k].lead == 0 && io->rows.v[k].port == x->local_port;
        struct target_group row = {
            .first = io->pids.n, .uid = x->uid, .net = l->net, .port = x->local_port};
        if (!known)
            err = FACTS_ADD(&io->rows, io->heap, &row);
    }
    return err;
}

static int put_groups(const struct search *s, struct target_groups *io)
{
    uint32_t before = io->rows.n;
    int err = 0, meant = 0;
    for (uint32_t i = 0; !err && i < s->look->processes.n; i++) {
        if (s->group[i] != i)
            continue;
        meant++;
        err = put_group(s, i, io);
    }
    if (!err &&
        (s->target->kind == TARGET_HOST || (s->target->kind == TARGET_PORT && !meant))) {
        err = put_hidden(s, io, &meant);
    }
    if (err)
        return err;
    if (io->rows.n > before)
        qsort(io->rows.v + before, io->rows.n - before, sizeof *io->rows.v, by_pid);
    return meant;
}

int target_find(const struct facts_look *l, const struct target *t, uint32_t self,
                struct target_groups *io)
{
    struct search s = {.look = l, .target = t, .self = self};
    size_t bytes = (size_t)l->processes.n * sizeof *s.group;
    s.group = bytes ? wr_heap_alloc(io->heap, bytes) : NULL;
    if (bytes && !s.group)
        return -ENOMEM;
    for (uint32_t i = 0; i < l->processes.n; i++)
        s.group[i] = NOBODY;
    if (t->kind == TARGET_HOST)
        take_listeners(&s);
    else if (t->kind == TARGET_PORT)
        take_port(&s);
    else
        take_processes(&s);
    if (t->kind == TARGET_NAME)
        take_listeners(&s);
    if (t->kind != TARGET_CGROUP && t->kind != TARGET_UNIT)
        take_workers(&s);
    join_families(&s);
    int n = put_groups(&s, io);
    wr_heap_free(io->heap, s.group, bytes);
    return n;
}

/* ---- in the facts ------------------------------------------------------------------------------------- */
void target_note(struct facts *f, const struct target_groups *g)
{
    int err = 0;
    f->b.targets.n = 0;
    for (uint32_t i = 0; !err && i < g->rows.n; i++) {
        const struct target_group *row = &g->rows.v[i];
        struct facts_target t = {.group = i, .uid = row->uid, .port = row->port};
        if (row->n == 0)
            err = FACTS_ADD(&f->b.targets, f->b.heap, &t);
        for (uint32_t k = 0; !err && k < row->n; k++) {
            t.pid = g->pids.v[row->first + k];
            t.lead = t.pid == row->lead;
            err = FACTS_ADD(&f->b.targets, f->b.heap, &t);
        }
    }
}

int target_noted(const struct facts_look *l, struct target_groups *io)
{
    int err = 0;
    for (uint32_t i = 0; !err && i < l->targets.n; i++) {
        const struct facts_target *t = &l->targets.v[i];
        struct target_group row = {.first = io->pids.n, .uid = t->uid, .port = t->port};
        if (i == 0 || t->group != l->targets.v[i - 1].group)
            err = FACTS_ADD(&io->rows, io->heap, &row);
        if (err || t->pid == 0)
            continue;
        struct target_group *g = &io->rows.v[io->rows.n - 1];
        err = FACTS_ADD(&io->pids, io->heap, &t->pid);
        g->n++;
        g->lead = t->lead || g->lead == 0 ? t->pid : g->lead;
    }
    return err;
}
