/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/os/os.h"
#include "weir/doctor/look/examine.h"
#include "weir/doctor/look/look.h"
#include "weir/doctor/look/record.h"
#include "weir/doctor/report/words.h"
#include "weir/doctor/top/top.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#define FILE_MOST   (1U << 30)
#define LOOKS_A_SET 20  /* after so many, who belongs to the target is asked again */
#define ASIDE_MS    400 /* in pauses of a look, at most: keys wait for it */

static const struct look_ask listeners = {.proto = FACTS_TCP, .states = LOOK_LISTEN_ONLY};

struct top_source {
    const struct top_options *options;
    const struct wr_heap *heap;
    struct target target;
    struct target_groups groups;
    struct facts facts;
    struct examination examination;
    bool running; /* an examination has begun */
    unsigned looks;
    uint32_t *pids;
    uint32_t n_pids;
};

int top_source_new(const struct top_options *o, const struct wr_heap *heap,
                   struct top_source **out)
{
    struct top_source *s = wr_heap_zalloc(heap, sizeof *s);
    if (!s)
        return -ENOMEM;
    s->options = o;
    s->heap = heap;
    facts_init(&s->facts, heap);
    target_groups_init(&s->groups, heap);
    *out = s;
    return 0;
}

static void drop_pids(struct top_source *s)
{
    if (s->pids)
        wr_heap_free(s->heap, s->pids, s->n_pids * sizeof *s->pids);
    s->pids = NULL;
    s->n_pids = 0;
}

static void end_examination(struct top_source *s)
{
    if (s->running)
        examine_drop(&s->examination);
    s->running = false;
}

void top_source_free(struct top_source **ps)
{
    struct top_source *s = *ps;
    *ps = NULL;
    if (!s)
        return;
    end_examination(s);
    drop_pids(s);
    facts_deinit(&s->facts);
    target_groups_deinit(&s->groups);
    wr_heap_free(s->heap, s, sizeof *s);
}

/* ---- who is meant ------------------------------------------------------------------------------------ */
static int find_groups(struct top_source *s, const struct facts_look *l)
{
    target_groups_deinit(&s->groups);
    target_groups_init(&s->groups, s->heap);
    int n = target_find(l, &s->target, (uint32_t)wr_os_getpid(), &s->groups);
    return n < 0 ? n : n == 0 && s->target.kind != TARGET_HOST ? -ESRCH : 0;
}

/* Of a recording: whom it was made of, unless somebody asks for another. */
static int recorded_groups(struct top_source *s)
{
    int err = s->options->target ? 0 : target_noted(&s->facts.b, &s->groups);
    return err || s->groups.rows.n ? err : find_groups(s, &s->facts.b);
}

static int copy_pids(struct top_source *s)
{
    drop_pids(s);
    uint32_t n = s->groups.pids.n;
    if (n == 0)
        return -EACCES;
    s->pids = wr_heap_array(s->heap, n, sizeof *s->pids);
    if (!s->pids)
        return -ENOMEM;
    memcpy(s->pids, s->groups.pids.v, n * sizeof *s->pids);
    s->n_pids = n;
    return 0;
}

/* Enough to know whom a word means; who holds which descriptor is dear, and asked only for a port. */
static int scout(struct top_source *s)
{
    struct facts_look l;
    facts_look_init(&l, s->heap);
    struct look_pace pace;
    look_pace(&pace, ASIDE_MS);
    l.pace = &pace;
    look_begin(&l);
    int err = look_inet(&l, &listeners);
    if (!err)
        err = look_processes(&l, s->target.kind == TARGET_PORT ? LOOK_FDS : 0);
    if (!err)
        err = facts_seal(&l);
    if (!err)
        err = find_groups(s, &l);
    if (!err)
        err = copy_pids(s);
    facts_look_deinit(&l);
    return err;
}

static int begin_live(struct top_source *s)
{
    int err = s->target.kind == TARGET_HOST ? 0 : scout(s);
    if (err)
        return err;
    facts_deinit(&s->facts);
    facts_init(&s->facts, s->heap);
    struct examine what = {.pids = s->pids, .n_pids = s->n_pids, .aside_ms = ASIDE_MS};
    s->looks = 0;
    s->running = true;
    return examine_begin(&s->examination, &what, &s->facts);
}

/* ---- a file ------------------------------------------------------------------------------------------- */
static int read_all(int fd, char *to, size_t n)
{
    for (size_t at = 0; at < n;) {
        ssize_t got = wr_os_read(fd, to + at, n - at);
        if (got <= 0)
            return got < 0 ? (int)got : -EIO;
        at += (size_t)got;
    }
    return 0;
}

static int read_facts(struct top_source *s, int fd, char *error, size_t room)
{
    struct stat st;
    unsigned line = 0;
    int err = wr_os_fstat(fd, &st);
    if (err)
        return err;
    if (st.st_size > FILE_MOST)
        return -EFBIG;
    size_t n = st.st_size > 0 ? (size_t)st.st_size : 0;
    char *text = n ? wr_heap_alloc(s->heap, n) : NULL;
    if (n && !text)
        return -ENOMEM;
    err = read_all(fd, text, n);
    if (!err)
        err = record_read(wr_span(text, n), &s->facts, &line);
    if (err == -EPROTO)
        (void)snprintf(error, room, WORD(s->options->lang, TOP_FROM_LINE), s->options->from,
                       line);
    wr_heap_free(s->heap, text, n);
    return err;
}

static int begin_file(struct top_source *s, char *error, size_t n)
{
    int fd = wr_os_open(s->options->from, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0)
        return fd;
    int err = read_facts(s, fd, error, n);
    (void)wr_os_close(fd);
    return err ? err : recorded_groups(s);
}

/* ---- beginning ------------------------------------------------------------------------------------------ */
static void explain(const struct top_source *s, int err, char *error, size_t n)
{
    enum doctor_lang lang = s->options->lang;
    const char *word = s->options->target ? s->options->target : "";
    if (error[0])
        return;
    if (s->options->from && err != -ESRCH)
        (void)snprintf(error, n, WORD(lang, TOP_FROM_ERROR), s->options->from,
                       word_error(lang, err));
    else if (err == -ESRCH)
        (void)snprintf(error, n, WORD(lang, TOP_NO_TARGET), word);
    else if (err == -EACCES)
        (void)snprintf(error, n, WORD(lang, TOP_OTHERS), word);
    else
        (void)snprintf(error, n, WORD(lang, TOP_CANNOT), word_error(lang, err));
}

int top_source_begin(struct top_source *s, char *error, size_t n)
{
    const char *why = "";
    error[0] = '\0';
    int err = 0;
    if (s->options->target)
        err = target_parse(wr_span_str(s->options->target), s->options->lang, &s->target, &why);
    if (err)
        (void)snprintf(error, n, WORD(s->options->lang, TOP_BAD_TARGET), s->options->target,
                       why);
    else
        err = s->options->from ? begin_file(s, error, n) : begin_live(s);
    if (err)
        explain(s, err, error, n);
    return err;
}

/* ---- going on ------------------------------------------------------------------------------------------- */
int top_source_glance(struct top_source *s)
{
    return examine_glance(&s->examination);
}

int top_source_look(struct top_source *s, uint32_t wait_ms)
{
    s->examination.what.wait_ms = wait_ms;
    int result = examine_end(&s->examination);
    if (result == EXAMINE_ENDED)
        return -ESRCH;
    if (result < 0)
        return result;
    return s->target.kind == TARGET_HOST ? find_groups(s, &s->facts.b) : 0;
}

int top_source_pulse(struct top_source *s, struct facts_look *out)
{
    (void)s;
    int err = look_inet(out, &listeners);
    return err ? err : facts_seal(out);
}

/* Now and then the examination begins anew, so that processes born since are found. */
int top_source_next(struct top_source *s)
{
    examine_again(&s->examination);
    if (++s->looks < LOOKS_A_SET)
        return 0;
    end_examination(s);
    return begin_live(s);
}

const struct facts *top_source_facts(const struct top_source *s)
{
    return &s->facts;
}

const struct target_groups *top_source_groups(const struct top_source *s)
{
    return &s->groups;
}

/* ---- recording ------------------------------------------------------------------------------------------ */
static int write_piece(void *arg, struct wr_span piece)
{
    const int *fd = arg;
    while (piece.n) {
        ssize_t n = wr_os_write(*fd, piece.p, piece.n);
        if (n <= 0)
            return n < 0 ? (int)n : -EIO;
        piece = wr_span(piece.p + n, piece.n - (size_t)n);
    }
    return 0;
}

int top_source_record(struct top_source *s, const char *path)
{
    int fd = wr_os_open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return fd;
    target_note(&s->facts, &s->groups);
    int err = record_write(&s->facts, write_piece, &fd);
    int closed = wr_os_close(fd);
    return err ? err : closed;
}
