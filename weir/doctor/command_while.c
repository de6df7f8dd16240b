/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * --while -- COMMAND: looks before, while and after a command runs.
 *
 * Look by look the pair around each interval is judged and merged, rule by rule the worst stays: so the worst
 * moment is not lost, and memory does not grow with the time. Between looks the listeners' queues are read at each
 * glance. The looks take at most one part in twenty of a processor.
 *
 *   begin -> start command -> [glance ... look -> judge -> merge]* -> command ends -> look -> judge -> report
 */
#include "weir/doctor/command_private.h"
#include "weir/doctor/look/look.h"
#include "weir/doctor/report/say.h"

#include "libweir/base/err.h"
#include "libweir/io/proc.h"
#include "libweir/os/os.h"

#include <errno.h>
#include <stdio.h>
#include <sys/signalfd.h>

#define SHARE      20
#define LEAST      500  /* ms: a shorter time takes a burst for a standstill */
#define INTERVAL   1000 /* ms between looks, unless -t says something else */
#define MS         1000000ULL
#define PATH_ROOM  4096
#define WORDS_ROOM 256

struct bystander {
    const struct run *r;
    struct target_groups groups;
    struct facts facts;
    struct examination e;
    struct cases worst;
    struct doctor_load load;
    uint64_t first[FACTS_COUNTERS], begun_ns, first_wall_ms;
    char words[WORDS_ROOM], ended[64];
    sigset_t old_mask;
    int epoll, signals, pidfd;
    pid_t pid;
    bool looking; /* the examination goes on */
    bool died;    /* the target did not live as long as the command */
};

/* ---- the command ------------------------------------------------------------------------------------ */
static bool is_program(const char *path)
{
    struct stat st;
    return wr_os_stat(path, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 0111);
}

/* As a shell finds it. */
static bool find_program(const char *name, char *out, size_t n)
{
    const char *path = say_environment("PATH");
    struct wr_span rest = wr_span_str(*path ? path : "/usr/local/bin:/usr/bin:/bin"), dir;
    if (strchr(name, '/')) {
        (void)snprintf(out, n, "%s", name);
        return is_program(name);
    }
    while (wr_span_split(&rest, ':', &dir)) {
        int w = dir.n ? snprintf(out, n, "%.*s/%s", WR_SPANF(dir), name)
                      : snprintf(out, n, "./%s", name);
        if (w > 0 && (size_t)w < n && is_program(out))
            return true;
    }
    return false;
}

struct start {
    const struct run *r;
    const char *path;
    const sigset_t *mask;
};

/* With --json standard output is the report's alone. */
static int child(void *arg)
{
    const struct start *s = arg;
    (void)wr_os_sigmask(SIG_SETMASK, s->mask, NULL);
    if (wr_os_set_batch(false) != 0)
        return 126;
    if (s->r->o->json && wr_os_dup_to(2, 1) < 0)
        return 126;
    int err = wr_os_exec(s->path, s->r->o->command, wr_os_environ());
    say_error("doctor", "%.200s: %s", s->path, word_error(s->r->o->lang, err));
    return 127;
}

static int start(struct bystander *b, const char *path)
{
    struct start s = {b->r, path, &b->old_mask};
    b->pid = wr_os_spawn(child, &s, &b->pidfd);
    struct epoll_event ev = {.events = EPOLLIN, .data.fd = b->pidfd};
    int err =
        b->pid < 0 ? (int)b->pid : wr_os_epoll_ctl(b->epoll, EPOLL_CTL_ADD, b->pidfd, &ev);
    if (err)
        say_error("doctor", "%.200s: %s", path, word_error(b->r->o->lang, err));
    return err ? DOCTOR_UNDECIDED : 0;
}

/* A signal from the terminal went to the command as well; any other is handed on. */
static void pass_signal(struct bystander *b)
{
    struct signalfd_siginfo info;
    while (wr_os_signalfd_read(b->signals, &info) == 1)
        if (info.ssi_code != SI_KERNEL)
            (void)!wr_os_pidfd_signal(b->pidfd, (int)info.ssi_signo);
}

/* ---- looking ---------------------------------------------------------------------------------------- */
static bool is_ours(const struct bystander *b, const struct facts_socket *s)
{
    const struct facts_look *l = &b->facts.a; /* has the owners of the listeners */
    const struct facts_fd *fd = facts_owner(l, s->inode, 0);
    for (uint32_t i = 0; i < b->groups.rows.n; i++)
        if (b->groups.rows.v[i].n == 0 && b->groups.rows.v[i].port == s->local_port)
            return true;
    for (uint32_t i = 0; fd && i < b->groups.pids.n; i++)
        if (b->groups.pids.v[i] == fd->pid)
            return true;
    return false;
}

static void note_queues(struct bystander *b, const struct facts_look *l)
{
    for (uint32_t i = 0; i < l->sockets.n; i++) {
        const struct facts_socket *s = &l->sockets.v[i];
        if (s->proto != FACTS_TCP || s->state != FACTS_LISTEN || !is_ours(b, s))
            continue;
        bool fuller = (uint64_t)s->rqueue * (b->load.worst_backlog + 1ULL) >=
                      (uint64_t)b->load.worst_queue * (s->wqueue + 1ULL);
        if (!fuller)
            continue;
        b->load.worst_queue = s->rqueue;
        b->load.worst_backlog = s->wqueue;
    }
}

/* The queues between two looks: a listing of listeners costs the kernel next to nothing. */
static int peek(struct bystander *b)
{
    struct facts_look l;
    facts_look_init(&l, b->r->heap);
    const struct look_ask ask = {.proto = FACTS_TCP, .states = LOOK_LISTEN_ONLY};
    int err = look_inet(&l, &ask);
    if (!err)
        note_queues(b, &l);
    facts_look_deinit(&l);
    return err;
}

static void note_look(struct bystander *b)
{
    const struct facts_look *l = &b->facts.b;
    unsigned open = 0;
    note_queues(b, l);
    for (uint32_t i = 0; i < l->sockets.n; i++)
        open += l->sockets.v[i].state == FACTS_ESTABLISHED;
    if (open > b->load.connections)
        b->load.connections = open;
    for (unsigned i = 0; i < FACTS_COUNTERS; i++) {
        bool known = b->first[i] != FACTS_UNKNOWN && l->counter[i] != FACTS_UNKNOWN;
        b->load.rise[i] = !known                        ? FACTS_UNKNOWN
                          : l->counter[i] < b->first[i] ? 0
                                                        : l->counter[i] - b->first[i];
    }
    b->load.looks++;
}

static int judge(struct bystander *b)
{
    const struct run *r = b->r;
    const struct case_options o = {.limits = &r->o->limits, .whole_host = run_whole_host(r)};
    struct cases c;
    int err = cases_init(&c, r->heap);
    if (!err)
        err = cases_judge(&c, &b->facts, &b->groups, &o);
    if (!err)
        err = cases_merge(&b->worst, &c);
    cases_deinit(&c);
    return err;
}

static int whole_look(struct bystander *b)
{
    uint64_t cpu = wr_os_now_ns(CLOCK_PROCESS_CPUTIME_ID);
    int result = examine_end(&b->e);
    b->died = result == EXAMINE_ENDED;
    b->looking = result >= 0 && !b->died;
    if (!b->looking)
        return result < 0 ? result : 0;
    note_look(b);
    int err = judge(b);
    cpu = (wr_os_now_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu) / MS;
    uint64_t wait = b->r->o->wait_ms ? b->r->o->wait_ms : INTERVAL;
    b->e.what.wait_ms = (uint32_t)(cpu * SHARE > wait ? cpu * SHARE : wait);
    return err;
}

static int step(struct bystander *b)
{
    int err = peek(b);
    if (err)
        return err;
    if (!examine_is_last(&b->e))
        return examine_glance(&b->e);
    err = whole_look(b);
    if (!err && b->looking)
        examine_again(&b->e);
    return err;
}

/* Until the command has ended. */
static int stand_by(struct bystander *b)
{
    for (int err = 0; !err;) {
        struct epoll_event ev[2];
        uint32_t due = b->looking ? examine_due_ms(&b->e) : INTERVAL;
        int n = wr_os_epoll_wait(b->epoll, ev, 2, (int)due);
        for (int i = 0; i < n; i++)
            if (ev[i].data.fd == b->signals)
                pass_signal(b);
        if (wr_os_reap(b->pid, &b->load.status) == 1)
            return 0;
        if (b->looking && examine_due_ms(&b->e) == 0)
            err = step(b);
        if (err)
            return run_no_memory(b->r, err);
    }
    return 0;
}

/* ---- all -------------------------------------------------------------------------------------------- */
static int prepare(struct bystander *b, sigset_t *set)
{
    struct epoll_event ev = {.events = EPOLLIN};
    sigemptyset(set);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGHUP);
    sigaddset(set, SIGQUIT);
    (void)wr_os_sigmask(SIG_BLOCK, set, &b->old_mask);
    b->signals = wr_os_signalfd(set);
    b->epoll = wr_os_epoll_create();
    ev.data.fd = b->signals;
    if (b->signals < 0 || b->epoll < 0 ||
        wr_os_epoll_ctl(b->epoll, EPOLL_CTL_ADD, b->signals, &ev))
        return run_no_memory(b->r, -ENOMEM);
    return 0;
}

static int first_look(struct bystander *b)
{
    uint16_t ports[RUN_PORTS];
    struct target_groups all;
    target_groups_init(&all, b->r->heap);
    int status = run_scout(b->r, &all);
    if (!status && run_scout_one(b->r, &all, false, &b->groups))
        status = run_no_memory(b->r, -ENOMEM);
    target_groups_deinit(&all);
    if (status)
        return status;
    (void)run_ports(&b->groups, ports);
    struct examine what = run_question(b->r, &b->groups, ports);
    what.wait_ms = what.wait_ms ? what.wait_ms : INTERVAL;
    what.aside_ms = RUN_ASIDE(what.wait_ms);
    status = run_result(b->r, examine_begin(&b->e, &what, &b->facts));
    b->looking = !status;
    memcpy(b->first, b->facts.a.counter, sizeof b->first);
    b->begun_ns = b->facts.a.at_ns;
    b->first_wall_ms = b->facts.a.wall_ms;
    return status;
}

static int last_look(struct bystander *b)
{
    uint64_t spent = (wr_os_now_ns(CLOCK_MONOTONIC) - b->e.begun_ns) / MS;
    if (b->looking && spent < LEAST)
        (void)wr_os_sleep_ns((LEAST - spent) * MS);
    int err = b->looking ? whole_look(b) : 0;
    return err ? run_no_memory(b->r, err) : 0;
}

static int tell(struct bystander *b)
{
    const struct run *r = b->r;
    int err = cases_report(&b->worst, &b->facts, run_whole_host(r), r->o->fail_on);
    if (err)
        return run_no_memory(b->r, err);
    struct doctor_report *p = &b->worst.report;
    b->load.ended = wr_exit_text(b->load.status, b->ended, sizeof b->ended);
    p->span_ms = (uint32_t)((wr_os_now_ns(CLOCK_MONOTONIC) - b->begun_ns) / MS);
    p->wall_ns = b->first_wall_ms * MS;
    p->looks = ++b->load.looks; /* the first one too */
    p->load = &b->load;
    if (b->died)
        say_error("doctor", "%s", WORD(b->r->o->lang, D_TARGET_ENDED));
    if (b->died && p->exit == DOCTOR_WELL)
        p->exit = DOCTOR_NO_TARGET;
    run_print(r, &b->worst);
    return p->exit;
}

static int attend(struct bystander *b, const char *path)
{
    sigset_t set;
    int status = prepare(b, &set);
    if (!status)
        status = first_look(b);
    if (!status) {
        uint64_t begun = wr_os_now_ns(CLOCK_MONOTONIC);
        status = start(b, path);
        if (!status)
            status = stand_by(b);
        b->load.ran_ms = (wr_os_now_ns(CLOCK_MONOTONIC) - begun) / MS;
    }
    if (!status)
        status = last_look(b);
    if (!status && b->r->o->record) {
        target_note(&b->facts, &b->groups);
        status = run_record(b->r, &b->facts);
    }
    return status ? status : tell(b);
}

static void join_words(char *const *words, char *out, size_t n)
{
    size_t at = 0;
    for (; *words && at + 2 < n; words++) {
        int w = snprintf(out + at, n - at, "%s%s", at ? " " : "", *words);
        at += w > 0 ? (size_t)w : 0;
    }
}

int run_while(const struct run *r)
{
    char path[PATH_ROOM];
    if (!find_program(r->o->command[0], path, sizeof path)) {
        say_error("doctor", WORD(r->o->lang, D_NO_PROGRAM), r->o->command[0]);
        return DOCTOR_USAGE;
    }
    struct bystander *b = wr_heap_zalloc(r->heap, sizeof *b);
    if (!b)
        return run_no_memory(r, -ENOMEM);
    b->r = r;
    b->epoll = b->signals = b->pidfd = -1;
    b->load.command = b->words;
    join_words(r->o->command, b->words, sizeof b->words);
    target_groups_init(&b->groups, r->heap);
    facts_init(&b->facts, r->heap);
    int err = cases_init(&b->worst, r->heap);
    int status = err ? run_no_memory(b->r, err) : attend(b, path);
    examine_drop(&b->e);
    cases_deinit(&b->worst);
    facts_deinit(&b->facts);
    target_groups_deinit(&b->groups);
    const int fds[] = {b->epoll, b->signals, b->pidfd};
    for (size_t i = 0; i < WR_ARRAY_LEN(fds); i++)
        if (fds[i] >= 0)
            (void)wr_os_close(fds[i]);
    wr_heap_free(r->heap, b, sizeof *b);
    return status;
}
