/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/look/facts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *const counter_name[] = {
#define COUNTER(id, group, name) name,
#define SYSCTL(id, path)
#include "weir/doctor/look/facts.def"
};

static const char *const counter_group[] = {
#define COUNTER(id, group, name) group,
#define SYSCTL(id, path)
#include "weir/doctor/look/facts.def"
};

static const char *const sysctl_path[] = {
#define COUNTER(id, group, name)
#define SYSCTL(id, path) path,
#include "weir/doctor/look/facts.def"
};

const char *facts_counter_name(enum facts_counter c)
{
    return counter_name[c];
}

const char *facts_counter_group(enum facts_counter c)
{
    return counter_group[c];
}

const char *facts_sysctl_path(enum facts_sysctl s)
{
    return sysctl_path[s];
}

/* ---- life ------------------------------------------------------------------------------------------- */
void facts_look_init(struct facts_look *l, const struct wr_heap *heap)
{
    *l = (struct facts_look){.heap = heap};
    memset(l->counter, 0xff, sizeof l->counter);
    memset(l->sysctl, 0xff, sizeof l->sysctl);
}

void facts_look_deinit(struct facts_look *l)
{
    FACTS_DROP(&l->sockets, l->heap);
    FACTS_DROP(&l->tcps, l->heap);
    FACTS_DROP(&l->unixes, l->heap);
    FACTS_DROP(&l->processes, l->heap);
    FACTS_DROP(&l->threads, l->heap);
    FACTS_DROP(&l->fds, l->heap);
    FACTS_DROP(&l->watches, l->heap);
    FACTS_DROP(&l->rings, l->heap);
    FACTS_DROP(&l->pipes, l->heap);
    FACTS_DROP(&l->futexes, l->heap);
    FACTS_DROP(&l->peeks, l->heap);
    FACTS_DROP(&l->disks, l->heap);
    FACTS_DROP(&l->files, l->heap);
    FACTS_DROP(&l->cgroups, l->heap);
    FACTS_DROP(&l->nics, l->heap);
    FACTS_DROP(&l->gaps, l->heap);
    FACTS_DROP(&l->targets, l->heap);
    FACTS_DROP(&l->weirs, l->heap);
    FACTS_DROP(&l->weir_stages, l->heap);
    FACTS_DROP(&l->weir_events, l->heap);
    FACTS_DROP(&l->weir_pools, l->heap);
    FACTS_DROP(&l->weir_leases, l->heap);
    FACTS_DROP(&l->text, l->heap);
    FACTS_DROP(&l->fd_by_inode, l->heap);
    FACTS_DROP(&l->socket_by_inode, l->heap);
    l->sealed = false;
}

void facts_glance_deinit(struct facts_glance *g, const struct wr_heap *heap)
{
    FACTS_DROP(&g->threads, heap);
}

void facts_init(struct facts *f, const struct wr_heap *heap)
{
    *f = (struct facts){0};
    facts_look_init(&f->a, heap);
    facts_look_init(&f->b, heap);
}

void facts_deinit(struct facts *f)
{
    for (uint32_t i = 0; i < FACTS_GLANCES; i++)
        facts_glance_deinit(&f->glance[i], f->a.heap);
    facts_look_deinit(&f->a);
    facts_look_deinit(&f->b);
    f->glances = 0;
}

int facts_grow_(const struct wr_heap *heap, void **io_v, uint32_t *io_room, uint32_t n,
                uint32_t more, size_t size)
{
    if (more <= *io_room - n)
        return 0;
    if (more > FACTS_ROWS_MAX || n > FACTS_ROWS_MAX - more)
        return -E2BIG;
    uint32_t room = *io_room < 32 ? 32 : *io_room + *io_room / 2;
    if (room < n + more)
        room = n + more;
    void *v = wr_heap_realloc(heap, *io_v, (size_t)*io_room * size, (size_t)room * size);
    if (!v)
        return -ENOMEM;
    *io_v = v;
    *io_room = room;
    return 0;
}

int facts_text_add(struct facts_look *l, struct wr_span s, uint32_t *out_at)
{
    ptrdiff_t zero = wr_span_find_char(s, 0);
    uint32_t n = (uint32_t)(zero >= 0 ? (size_t)zero : s.n < 4096 ? s.n : 4096);
    uint32_t first = l->text.n == 0;
    if (n == 0) {
        *out_at = 0;
        return 0;
    }
    int err =
        facts_grow_(l->heap, (void **)&l->text.v, &l->text.room, l->text.n, first + n + 1, 1);
    if (err)
        return err;
    if (first)
        l->text.v[l->text.n++] = 0;
    *out_at = l->text.n;
    memcpy(l->text.v + l->text.n, s.p, n);
    l->text.n += n + 1;
    l->text.v[l->text.n - 1] = 0;
    return 0;
}

const char *facts_text(const struct facts_look *l, uint32_t at)
{
    return at && at < l->text.n ? l->text.v + at : "";
}

void facts_gap(struct facts_look *l, const char *what, uint32_t pid, int error)
{
    struct facts_gap g = {.pid = pid, .error = error};
    if (facts_text_add(l, wr_span_str(what), &g.what) == 0)
        (void)FACTS_ADD(&l->gaps, l->heap, &g);
}

/* ---- order ------------------------------------------------------------------------------------------ */
#define BY(a, b)      ((a) < (b) ? -1 : (a) > (b))
#define THEN(c, a, b) ((c) ? (c) : BY(a, b))
#define ORDER(name, type, expr)                   \
    static int name(const void *p, const void *q) \
    {                                             \
        const struct type *a = p, *b = q;         \
        return expr;                              \
    }

ORDER(by_unix, facts_unix, BY(a->inode, b->inode))
ORDER(by_pid, facts_process, BY(a->pid, b->pid))
ORDER(by_tid, facts_thread, THEN(BY(a->tid, b->tid), a->start, b->start))
ORDER(by_fd, facts_fd, THEN(BY(a->pid, b->pid), a->fd, b->fd))
ORDER(by_watch, facts_watch,
      THEN(THEN(THEN(BY(a->inode, b->inode), a->pid, b->pid), a->epoll, b->epoll), a->fd,
           b->fd))
ORDER(by_ring, facts_ring, THEN(BY(a->pid, b->pid), a->fd, b->fd))
ORDER(by_pipe, facts_pipe, BY(a->inode, b->inode))
ORDER(by_futex, facts_futex, THEN(BY(a->pid, b->pid), a->tid, b->tid))
ORDER(by_peek, facts_peek, THEN(BY(a->pid, b->pid), a->fd, b->fd))
ORDER(by_mount, facts_disk, BY(a->mount, b->mount))
ORDER(by_file, facts_file, THEN(BY(a->pid, b->pid), a->fd, b->fd))
ORDER(by_cgroup, facts_cgroup, BY(a->pid, b->pid))

/* Most lists come in order, and looking is cheaper than sorting what is sorted. */
static void sort(void *v, uint32_t n, size_t size, int (*order)(const void *, const void *))
{
    for (uint32_t i = 1; i < n; i++)
        if (order((char *)v + (i - 1) * size, (char *)v + i * size) > 0) {
            qsort(v, n, size, order);
            return;
        }
}

#define SORT(list, order) sort((list).v, (list).n, sizeof *(list).v, order)

/* Long lists are sorted by keys that lie beside the places: looking them up in the rows, or moving the rows more than
 * once, would cost more than all else. */
struct key {
    uint64_t by;
    uint32_t place;
};

struct key_list {
    FACTS_LIST(struct key);
};

struct keys {
    const struct wr_heap *heap;
    struct key_list list, spare;
};

static int add_key(struct keys *k, uint64_t by, uint32_t place)
{
    struct key key = {by, place};
    return FACTS_ADD(&k->list, k->heap, &key);
}

/* One pass over the keys, by one byte; equal ones keep their order. Most bytes of inodes and cookies are all the same. */
static void sort_by_byte(struct keys *k, unsigned shift)
{
    const struct key_list from = k->list;
    uint32_t place[256] = {0}, sum = 0;
    for (uint32_t i = 0; i < from.n; i++)
        place[from.v[i].by >> shift & 255]++;
    if (from.n == 0 || place[from.v[0].by >> shift & 255] == from.n)
        return;
    for (unsigned b = 0; b < 256; b++) {
        uint32_t count = place[b];
        place[b] = sum, sum += count;
    }
    for (uint32_t i = 0; i < from.n; i++)
        k->spare.v[place[from.v[i].by >> shift & 255]++] = from.v[i];
    k->list = k->spare, k->list.n = from.n;
    k->spare = from;
}

static int sort_keys(struct keys *k)
{
    int err = facts_grow_(k->heap, (void **)&k->spare.v, &k->spare.room, 0, k->list.n,
                          sizeof *k->spare.v);
    for (unsigned shift = 0; !err && shift < 64; shift += 8)
        sort_by_byte(k, shift);
    return err;
}

/* Takes the keys; what they are sorted to goes into the index. */
static int take_index(struct keys *k, struct facts_index *to)
{
    int err = sort_keys(k);
    for (uint32_t i = 0; i < k->list.n && !err; i++)
        err = FACTS_ADD(to, k->heap, &k->list.v[i].place);
    k->list.n = 0;
    return err;
}

static int index_inodes(struct facts_look *l, struct keys *k)
{
    int err = 0;
    for (uint32_t i = 0; i < l->fds.n && !err; i++)
        if (l->fds.v[i].inode)
            err = add_key(k, l->fds.v[i].inode, i);
    if (!err)
        err = take_index(k, &l->fd_by_inode);
    for (uint32_t i = 0; i < l->sockets.n && !err; i++)
        if (l->sockets.v[i].inode)
            err = add_key(k, l->sockets.v[i].inode, i);
    return err ? err : take_index(k, &l->socket_by_inode);
}

/* Each row moves once, along the circles in which they have to change places. */
#define MOVE_ROWS(rows, keys)                             \
    do {                                                  \
        __typeof__((rows).v) v_ = (rows).v;               \
        struct key *k_ = (keys)->v;                       \
        for (uint32_t i = 0; i < (rows).n; i++) {         \
            __typeof__(*v_) first = v_[i];                \
            uint32_t at = i, from;                        \
            for (; (from = k_[at].place) != i; at = from) \
                v_[at] = v_[from], k_[at].place = at;     \
            v_[at] = first, k_[at].place = at;            \
        }                                                 \
        (keys)->n = 0;                                    \
    } while (0)

/* By one member of its rows: 0 or -ENOMEM. */
#define SORT_BY(rows, member, keys)                        \
    (__extension__({                                       \
        int err_ = 0;                                      \
        for (uint32_t i = 0; i < (rows).n && !err_; i++)   \
            err_ = add_key((keys), (rows).v[i].member, i); \
        if (!err_)                                         \
            err_ = sort_keys(keys);                        \
        if (!err_)                                         \
            MOVE_ROWS((rows), &(keys)->list);              \
        err_;                                              \
    }))

static int sort_long_lists(struct facts_look *l, struct keys *k)
{
    int err = SORT_BY(l->sockets, cookie, k);
    if (!err)
        err = SORT_BY(l->watches, inode, k);
    SORT(l->watches, by_watch); /* those of one inode, few and mostly in order already */
    return err;
}

void facts_seal_peeks(struct facts_look *l)
{
    SORT(l->pipes, by_pipe);
    SORT(l->futexes, by_futex);
    SORT(l->peeks, by_peek);
    SORT(l->disks, by_mount);
    SORT(l->files, by_file);
}

int facts_seal(struct facts_look *l)
{
    SORT(l->unixes, by_unix);
    SORT(l->processes, by_pid);
    SORT(l->threads, by_tid);
    SORT(l->fds, by_fd);
    SORT(l->rings, by_ring);
    SORT(l->cgroups, by_cgroup);
    facts_seal_peeks(l);
    l->fd_by_inode.n = l->socket_by_inode.n = 0;
    struct keys k = {.heap = l->heap};
    int err = sort_long_lists(l, &k);
    if (!err)
        err = index_inodes(l, &k);
    FACTS_DROP(&k.list, l->heap);
    FACTS_DROP(&k.spare, l->heap);
    l->sealed = err == 0;
    return err;
}

void facts_glance_seal(struct facts_glance *g)
{
    SORT(g->threads, by_tid);
}

/* ---- finding ---------------------------------------------------------------------------------------- */
const struct facts_socket *facts_socket(const struct facts_look *l, uint64_t cookie)
{
    uint32_t i = FACTS_FIRST_NOT(l->sockets.n, at, l->sockets.v[at].cookie < cookie);
    return i < l->sockets.n && l->sockets.v[i].cookie == cookie ? &l->sockets.v[i] : NULL;
}

const struct facts_socket *facts_socket_of_inode(const struct facts_look *l, uint64_t inode)
{
    const uint32_t *place = l->socket_by_inode.v;
    uint32_t n = l->socket_by_inode.n;
    uint32_t i = FACTS_FIRST_NOT(n, at, l->sockets.v[place[at]].inode < inode);
    return i < n && l->sockets.v[place[i]].inode == inode ? &l->sockets.v[place[i]] : NULL;
}

const struct facts_socket *facts_socket_of_fd(const struct facts_look *l,
                                              const struct facts_fd *fd)
{
    return fd->kind == FACTS_FD_SOCKET ? facts_socket_of_inode(l, fd->inode) : NULL;
}

const struct facts_unix *facts_unix(const struct facts_look *l, uint64_t inode)
{
    uint32_t i = FACTS_FIRST_NOT(l->unixes.n, at, l->unixes.v[at].inode < inode);
    return i < l->unixes.n && l->unixes.v[i].inode == inode ? &l->unixes.v[i] : NULL;
}

const struct facts_process *facts_process(const struct facts_look *l, uint32_t pid)
{
    uint32_t i = FACTS_FIRST_NOT(l->processes.n, at, l->processes.v[at].pid < pid);
    return i < l->processes.n && l->processes.v[i].pid == pid ? &l->processes.v[i] : NULL;
}

const struct facts_fd *facts_fds(const struct facts_look *l, uint32_t pid, uint32_t *out_n)
{
    uint32_t from = FACTS_FIRST_NOT(l->fds.n, at, l->fds.v[at].pid < pid);
    uint32_t to = FACTS_FIRST_NOT(l->fds.n, at, l->fds.v[at].pid <= pid);
    *out_n = to - from;
    return from < to ? &l->fds.v[from] : NULL;
}

const struct facts_fd *facts_fd(const struct facts_look *l, uint32_t pid, int fd)
{
    uint32_t n, i;
    const struct facts_fd *v = facts_fds(l, pid, &n);
    if (!v)
        return NULL;
    i = FACTS_FIRST_NOT(n, at, v[at].fd < fd);
    return i < n && v[i].fd == fd ? &v[i] : NULL;
}

const struct facts_pipe *facts_pipe(const struct facts_look *l, uint64_t inode)
{
    uint32_t i = FACTS_FIRST_NOT(l->pipes.n, at, l->pipes.v[at].inode < inode);
    return i < l->pipes.n && l->pipes.v[i].inode == inode ? &l->pipes.v[i] : NULL;
}

const struct facts_peek *facts_peek(const struct facts_look *l, uint32_t pid, int fd)
{
    const struct facts_peek *v = l->peeks.v;
    uint32_t i =
        FACTS_FIRST_NOT(l->peeks.n, at, v[at].pid < pid || (v[at].pid == pid && v[at].fd < fd));
    return i < l->peeks.n && v[i].pid == pid && v[i].fd == fd ? &v[i] : NULL;
}

const struct facts_disk *facts_disk(const struct facts_look *l, uint32_t mount)
{
    uint32_t i = FACTS_FIRST_NOT(l->disks.n, at, l->disks.v[at].mount < mount);
    return i < l->disks.n && l->disks.v[i].mount == mount ? &l->disks.v[i] : NULL;
}

const struct facts_file *facts_file(const struct facts_look *l, uint32_t pid, int fd)
{
    const struct facts_file *v = l->files.v;
    uint32_t i =
        FACTS_FIRST_NOT(l->files.n, at, v[at].pid < pid || (v[at].pid == pid && v[at].fd < fd));
    return i < l->files.n && v[i].pid == pid && v[i].fd == fd ? &v[i] : NULL;
}

const struct facts_futex *facts_futex(const struct facts_look *l, uint32_t pid, uint32_t tid)
{
    const struct facts_futex *v = l->futexes.v;
    uint32_t i = FACTS_FIRST_NOT(l->futexes.n, at,
                                 v[at].pid < pid || (v[at].pid == pid && v[at].tid < tid));
    return i < l->futexes.n && v[i].pid == pid && v[i].tid == tid ? &v[i] : NULL;
}

const struct facts_cgroup *facts_cgroup(const struct facts_look *l, uint32_t pid)
{
    uint32_t i = FACTS_FIRST_NOT(l->cgroups.n, at, l->cgroups.v[at].pid < pid);
    return i < l->cgroups.n && l->cgroups.v[i].pid == pid ? &l->cgroups.v[i] : NULL;
}

const struct facts_thread *facts_thread(const struct facts_thread *v, uint32_t n, uint32_t tid,
                                        uint64_t start)
{
    uint32_t i = FACTS_FIRST_NOT(n, at, v[at].tid < tid);
    for (; i < n && v[i].tid == tid; i++)
        if (v[i].start == start)
            return &v[i];
    return NULL;
}

const struct facts_tcp *facts_tcp(const struct facts_look *l, const struct facts_socket *s)
{
    return s->tcp < l->tcps.n ? &l->tcps.v[s->tcp] : NULL;
}

const struct facts_watch *facts_watches(const struct facts_look *l, uint64_t inode,
                                        uint32_t *out_n)
{
    uint32_t from = FACTS_FIRST_NOT(l->watches.n, at, l->watches.v[at].inode < inode);
    uint32_t to = FACTS_FIRST_NOT(l->watches.n, at, l->watches.v[at].inode <= inode);
    *out_n = to - from;
    return from < to ? &l->watches.v[from] : NULL;
}

const struct facts_fd *facts_owner(const struct facts_look *l, uint64_t inode, uint32_t i)
{
    const uint32_t *place = l->fd_by_inode.v;
    uint32_t n = l->fd_by_inode.n;
    uint32_t from = FACTS_FIRST_NOT(n, at, l->fds.v[place[at]].inode < inode);
    if (i >= n - from || l->fds.v[place[from + i]].inode != inode)
        return NULL;
    return &l->fds.v[place[from + i]];
}

void facts_owners(const struct facts_look *l,
                  void (*fn)(void *arg, uint32_t place, const struct facts_fd *fd), void *arg)
{
    uint32_t k = 0;
    for (uint32_t i = 0; i < l->socket_by_inode.n; i++) { /* both indexes are sorted by inode */
        uint32_t place = l->socket_by_inode.v[i];
        uint64_t inode = l->sockets.v[place].inode;
        while (k < l->fd_by_inode.n && l->fds.v[l->fd_by_inode.v[k]].inode < inode)
            k++;
        for (; k < l->fd_by_inode.n && l->fds.v[l->fd_by_inode.v[k]].inode == inode; k++)
            fn(arg, place, &l->fds.v[l->fd_by_inode.v[k]]);
    }
}

uint64_t facts_rise(const struct facts *f, enum facts_counter c)
{
    uint64_t a = f->a.counter[c], b = f->b.counter[c];
    if (a == FACTS_UNKNOWN || b == FACTS_UNKNOWN)
        return FACTS_UNKNOWN;
    return b > a ? b - a : 0;
}
