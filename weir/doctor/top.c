/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/top.h"

#include "libweir/os/os.h"
#include "weir/doctor/top_text.h"
#include "weir/doctor/top_tty.h"
#include "weir/doctor/top_view.h"
#include "weir/stats/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define GLANCES     2
#define COST_FACTOR 110 /* a little less than 1 % */
#define FIRST_MS    500 /* nobody waits a whole interval for the first numbers */
#define ESCAPE_MS   50
#define MESSAGE_NS  5000000000U
#define PULSE_WORTH \
    1500 /* ms: where whole looks come this often, queues need no look of their own */
#define MS 1000000U

static const char help_text[] =
    "usage: weir top [TARGET] [--interval 1s] [--from FILE] [--once] [--json]\n"
    "\n"
    "Shows what a server process is waiting for, live. TARGET: a pid, :PORT, ADDRESS:PORT, a "
    "program's name,\n"
    "cgroup:/PATH or unit:NAME; without one every program that listens.\n"
    "\n"
    "  --interval TIME  between two looks, 100ms to 60s; longer where a look costs more than 1 "
    "% of that\n"
    "  --from FILE      shows a recording of `weir doctor --record` or of the key r\n"
    "  --once           prints one screen as plain text and ends\n"
    "  --json           prints one object a look, until it is interrupted; with --once only "
    "one\n"
    "\n"
    "Keys: 1 workers, 2 peers, 3 listeners, 4 threads, 5 counters, 6 history, 0 programs; "
    "enter explains the\n"
    "verdict, t shows its remedy, r records, s sorts, space pauses, + and - change the "
    "interval, h helps, q quits.\n"
    "Exit status: 0 done, 1 not done, 3 no such target, 64 wrong command line.\n";

struct top {
    struct top_options options;
    const struct wr_heap *heap;
    struct top_source *source;
    struct top_model model;
    struct top_past past;
    struct findings *found;
    bool judged;
    struct top_ui ui;
    struct top_tty tty;
    struct top_keys keys;
    struct top_screen now, shown;
    bool painted, utf8, colour, record;
    unsigned rows, columns;
    /* time, all CLOCK_MONOTONIC */
    uint64_t round_ns; /* when this round began: at its first look */
    uint64_t cpu_ns;   /* of this process then */
    uint64_t pulse_ns; /* of the last pulse or look */
    uint64_t message_ns;
    unsigned glances;
    int status;
};

static uint64_t now_ns(void)
{
    return wr_os_now_ns(CLOCK_MONOTONIC);
}

static int put(int fd, struct wr_span s)
{
    while (s.n) {
        ssize_t n = wr_os_write(fd, s.p, s.n);
        if (n == -EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? (int)n : -EIO;
        s = wr_span(s.p + n, s.n - (size_t)n);
    }
    return 0;
}

static void complain(const char *what)
{
    char text[512];
    int n = snprintf(text, sizeof text, "weir top: %s\n", what);
    if (put(2, wr_span(text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1))) {
        /* nobody listens */
    }
}

/* ---- the environment -------------------------------------------------------------------------------- */
static const char *variable(const char *name)
{
    size_t n = strlen(name);
    for (char **e = wr_os_environ(); e && *e; e++)
        if (strncmp(*e, name, n) == 0 && (*e)[n] == '=')
            return *e + n + 1;
    return "";
}

static bool is_utf8(void)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    for (size_t i = 0; i < WR_ARRAY_LEN(names); i++) {
        const char *v = variable(names[i]);
        if (*v)
            return strcasestr(v, "utf-8") || strcasestr(v, "utf8");
    }
    return false;
}

static unsigned size_from(const char *name, unsigned least, unsigned most, unsigned otherwise)
{
    unsigned n = 0;
    for (const char *p = variable(name); *p >= '0' && *p <= '9' && n < 100000; p++)
        n = n * 10 + (unsigned)(*p - '0');
    return n < least ? otherwise : n > most ? most : n;
}

/* ---- a round: from one whole look to the next ----------------------------------------------------- */
static uint64_t elapsed_ms(const struct top *t)
{
    return (now_ns() - t->round_ns) / MS;
}

static void begin_round(struct top *t)
{
    t->round_ns = now_ns();
    t->pulse_ns = t->round_ns;
    t->cpu_ns = wr_os_now_ns(CLOCK_PROCESS_CPUTIME_ID);
    t->glances = 0;
}

/* The next whole look comes when this round's cost is less than 1 % of the time it took. */
static void account(struct top *t)
{
    uint64_t cpu = wr_os_now_ns(CLOCK_PROCESS_CPUTIME_ID) - t->cpu_ns;
    uint64_t wall = now_ns() - t->round_ns, least = cpu * COST_FACTOR / MS;
    t->ui.cost = (uint32_t)(wall ? (cpu * 1000 + wall / 2) / wall : 0);
    t->ui.every_ms = (uint32_t)(least > t->ui.interval_ms ? least : t->ui.interval_ms);
}

static void say(struct top *t, const char *what, const char *more)
{
    (void)snprintf(t->ui.message, sizeof t->ui.message, "%s%s", what, more);
    t->message_ns = now_ns();
}

static void record(struct top *t)
{
    struct tm tm;
    char path[64];
    t->record = false;
    wr_os_calendar((int64_t)(wr_os_now_ns(CLOCK_REALTIME) / 1000000000U), false, &tm);
    (void)snprintf(path, sizeof path, "weir-top-%04d%02d%02d-%02d%02d%02d.facts",
                   (tm.tm_year + 1900) % 10000, (tm.tm_mon + 1) % 100, tm.tm_mday % 100,
                   tm.tm_hour % 100, tm.tm_min % 100, tm.tm_sec % 100);
    int err = top_source_record(t->source, path);
    if (err)
        say(t, "not recorded: ", strerrordesc_np(-err));
    else
        say(t, "recorded in ", path);
}

static int understand(struct top *t)
{
    struct top_input in = {.facts = top_source_facts(t->source),
                           .groups = top_source_groups(t->source),
                           .findings = t->found};
    int err = top_judge(in.facts, in.groups, t->found);
    t->judged = !err;
    return err ? err : top_model_make(&t->model, &in, &t->past);
}

static int whole_look(struct top *t)
{
    int err = top_source_look(t->source, t->ui.every_ms);
    if (!err)
        err = understand(t);
    if (!err && t->record)
        record(t);
    return err;
}

static int pulse(struct top *t)
{
    struct facts_look l;
    t->pulse_ns = now_ns();
    facts_look_init(&l, t->heap);
    int err = top_source_pulse(t->source, &l);
    if (!err)
        top_model_pulse(&t->model, &l, &t->past);
    facts_look_deinit(&l);
    return err;
}

/* ---- the screen ------------------------------------------------------------------------------------- */
static int draw(struct top *t)
{
    int err = top_screen_reset(&t->now, t->heap, t->rows, t->columns, t->utf8);
    if (err)
        return err;
    return top_view(&t->now, &t->model, t->judged ? t->found : NULL, &t->ui, t->heap);
}

/* What changed since the last one, in one write. */
static int show(struct top *t)
{
    int err = draw(t);
    struct stats_text out = {.heap = t->heap};
    if (err)
        return err;
    top_paint(&out, t->painted ? &t->shown : NULL, &t->now, t->colour);
    err = out.failed ? -ENOMEM : top_tty_write(&t->tty, wr_span(out.p, out.n));
    stats_text_free(&out);
    struct top_screen drawn = t->now;
    t->now = t->shown;
    t->shown = drawn;
    t->painted = true;
    return err;
}

/* ---- what happens next ------------------------------------------------------------------------------ */
/* ms until the next step; what is due comes as 0. */
static int due_ms(const struct top *t)
{
    uint64_t past = elapsed_ms(t), at = t->ui.every_ms;
    if (t->ui.recording || t->ui.paused)
        return t->ui.message[0] ? 1000 : -1;
    if (t->glances < GLANCES)
        at = t->ui.every_ms * (t->glances + 1ULL) / (GLANCES + 1);
    if (t->ui.every_ms >= PULSE_WORTH) {
        uint64_t next = (t->pulse_ns - t->round_ns) / MS + t->ui.interval_ms;
        at = next < at ? next : at;
    }
    return at > past ? (int)(at - past) : 0;
}

static void forget_message(struct top *t)
{
    if (t->ui.message[0] && now_ns() - t->message_ns > MESSAGE_NS)
        t->ui.message[0] = '\0';
}

static int finish_round(struct top *t)
{
    int err = whole_look(t);
    if (!err)
        err = show(t);
    account(t);
    begin_round(t);
    return err ? err : top_source_next(t->source);
}

/* Takes the step that is due: a whole look, a glance or a pulse. */
static int step(struct top *t)
{
    uint64_t past = elapsed_ms(t);
    forget_message(t);
    if (t->ui.recording || t->ui.paused)
        return show(t);
    if (past >= t->ui.every_ms)
        return finish_round(t);
    if (t->glances < GLANCES && past >= t->ui.every_ms * (t->glances + 1ULL) / (GLANCES + 1)) {
        t->glances++;
        return top_source_glance(t->source);
    }
    int err = pulse(t);
    return err ? err : show(t);
}

static bool act(struct top *t, enum top_act what)
{
    switch (what) {
    case TOP_ACT_QUIT:
        return false;
    case TOP_ACT_RECORD:
        if (t->ui.recording)
            say(t, "this is a recording", "");
        else
            say(t, "recording with the next look", "");
        t->record = !t->ui.recording;
        break;
    case TOP_ACT_REDRAW:
        t->painted = false;
        break;
    case TOP_ACT_LOOK:
        t->message_ns = now_ns();
        account(t);
        break;
    case TOP_ACT_NONE:
        break;
    }
    return true;
}

static bool typed(struct top *t, const unsigned char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int key = top_keys_feed(&t->keys, bytes[i]);
        if (key && !act(t, top_ui_key(&t->ui, key)))
            return false;
    }
    return true;
}

static bool on_event(struct top *t, enum top_event event, const unsigned char *bytes, size_t n)
{
    int key;
    switch (event) {
    case TOP_EVENT_KEYS:
        return typed(t, bytes, n);
    case TOP_EVENT_RESIZE:
        top_tty_size(&t->tty, &t->rows, &t->columns);
        return true;
    case TOP_EVENT_RESUME:
        top_tty_size(&t->tty, &t->rows, &t->columns);
        t->painted = false;
        return true;
    case TOP_EVENT_END:
        return false;
    case TOP_EVENT_NONE:
        break;
    }
    key = top_keys_pending(&t->keys) ? top_keys_end(&t->keys) : TOP_KEY_NONE;
    return key == TOP_KEY_NONE || act(t, top_ui_key(&t->ui, key));
}

static int go_on(struct top *t)
{
    int err = show(t), signal = 0;
    while (!err) {
        unsigned char bytes[64];
        size_t n = 0;
        int wait = due_ms(t);
        if (top_keys_pending(&t->keys) && (wait < 0 || wait > ESCAPE_MS))
            wait = ESCAPE_MS;
        enum top_event event = top_tty_wait(&t->tty, wait, bytes, sizeof bytes, &n, &signal);
        if (!on_event(t, event, bytes, n))
            break;
        err = event == TOP_EVENT_NONE && due_ms(t) <= 0 ? step(t) : show(t);
    }
    if (signal && signal != SIGINT)
        t->status = TOP_SIGNAL + signal;
    return err;
}

/* ---- the ways to run --------------------------------------------------------------------------------- */
static int interactive(struct top *t, char *error, size_t n)
{
    if (strcmp(variable("TERM"), "dumb") == 0) {
        (void)snprintf(error, n, "TERM=dumb cannot place a cursor: use --once or --json");
        return -ENOTTY;
    }
    int err = top_tty_open(&t->tty);
    if (err) {
        (void)snprintf(error, n, "input or output is no terminal: use --once or --json");
        return err;
    }
    top_tty_size(&t->tty, &t->rows, &t->columns);
    err = top_tty_enter(&t->tty);
    if (!err)
        err = go_on(t);
    top_tty_close(&t->tty);
    if (err == -EIO || err == -EPIPE)
        err = 0; /* the terminal has gone: nobody is left to tell */
    return err;
}

static void sleep_ms(uint64_t ms)
{
    if (ms)
        (void)wr_os_sleep_ns(ms * MS);
}

static int wait_for_round(struct top *t)
{
    int err = 0;
    while (!err && elapsed_ms(t) < t->ui.every_ms) {
        uint64_t next = t->ui.every_ms * (t->glances + 1ULL) / (GLANCES + 1);
        uint64_t past = elapsed_ms(t);
        sleep_ms(next > past ? next - past : 0);
        if (t->glances++ < GLANCES)
            err = top_source_glance(t->source);
    }
    return err;
}

static int print_json(struct top *t)
{
    struct stats_text out = {.heap = t->heap};
    top_json(&out, &t->model, t->judged ? t->found : NULL);
    int err = out.failed ? -ENOMEM : put(1, wr_span(out.p, out.n));
    stats_text_free(&out);
    return err;
}

static int print_screen(struct top *t)
{
    int err = draw(t);
    struct stats_text out = {.heap = t->heap};
    if (err)
        return err;
    top_screen_text(&t->now, &out);
    err = out.failed ? -ENOMEM : put(1, wr_span(out.p, out.n));
    stats_text_free(&out);
    return err;
}

static int unattended(struct top *t)
{
    unsigned rows = 24, columns = 80;
    if (wr_os_terminal_size(1, &columns, &rows))
        rows = 24, columns = 80;
    t->rows = size_from("LINES", TOP_LEAST_ROWS, TOP_ROWS_MOST, rows);
    t->columns = size_from("COLUMNS", TOP_LEAST_COLUMNS, TOP_COLUMNS_MOST, columns);
    for (;;) {
        int err = t->ui.recording ? 0 : wait_for_round(t);
        if (!err && !t->ui.recording)
            err = whole_look(t);
        account(t);
        if (!err)
            err = t->options.json ? print_json(t) : print_screen(t);
        if (err || t->options.once || t->ui.recording)
            return err == -EPIPE ? 0 : err;
        begin_round(t);
        err = top_source_next(t->source);
        if (err)
            return err;
    }
}

static int run(struct top *t, char *error, size_t n)
{
    bool alone = t->options.once || t->options.json;
    int err = top_source_begin(t->source, error, n);
    if (err) {
        t->status = err == -ESRCH ? TOP_NO_TARGET : err == -EINVAL ? TOP_USAGE : TOP_FAILED;
        return err;
    }
    t->ui.table = top_source_groups(t->source)->rows.n > 1 || !t->options.target ? TOP_PROGRAMS
                                                                                 : TOP_WORKERS;
    t->ui.interval_ms = t->options.interval_ms;
    t->ui.every_ms = alone || t->ui.interval_ms < FIRST_MS ? t->ui.interval_ms : FIRST_MS;
    t->ui.recording = t->options.from != NULL;
    begin_round(t);
    if (t->ui.recording)
        err = understand(t);
    if (!err)
        err = alone ? unattended(t) : interactive(t, error, n);
    if (err)
        t->status = err == -ESRCH ? TOP_NO_TARGET : TOP_FAILED;
    if (err && !error[0])
        (void)snprintf(error, n, "%s",
                       err == -ESRCH ? "the target has ended" : strerrordesc_np(-err));
    return err;
}

static int with_memory(struct top *t)
{
    char error[256] = "";
    t->heap = wr_os_heap();
    t->utf8 = is_utf8();
    t->colour = !*variable("NO_COLOR");
    top_model_init(&t->model, t->heap);
    top_past_init(&t->past, t->heap);
    t->found = wr_heap_zalloc(t->heap, sizeof *t->found);
    int err = t->found ? top_source_new(&t->options, t->heap, &t->source) : -ENOMEM;
    if (!err)
        err = run(t, error, sizeof error);
    if (err)
        complain(error[0] ? error : strerrordesc_np(-err));
    top_source_free(&t->source);
    if (t->found)
        wr_heap_free(t->heap, t->found, sizeof *t->found);
    top_past_free(&t->past);
    top_model_free(&t->model);
    top_screen_free(&t->now);
    top_screen_free(&t->shown);
    return err && t->status == TOP_DONE ? TOP_FAILED : t->status;
}

int top_command(int argc, char **argv)
{
    struct top t = {0};
    char error[256] = "";
    if (top_options(argc, argv, &t.options, error, sizeof error)) {
        complain(error);
        return TOP_USAGE;
    }
    if (t.options.help)
        return put(1, wr_span(help_text, sizeof help_text - 1)) ? TOP_FAILED : TOP_DONE;
    return with_memory(&t);
}
