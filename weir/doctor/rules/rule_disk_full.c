/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * disk-full: a file system on which the process has a file open for writing has no room, or no inodes, left for it at both
 * looks. How bad that is, the file tells: one that grew between the looks, or whose time of change moved while its end
 * did not (the kernel sets it before it looks for room), is what the process writes now; one that is opened for
 * appending, or is a standard stream, is its log, and the next line is lost; others may have all the room that they
 * will ever need (a database's, a lock, shared memory): that is worth a word.
 *
 * One finding for a file system: the file that suffers most speaks for the others.
 */
#include "weir/doctor/rules/judge.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define CRUMBS (64 << 10) /* bytes that no file system gets together for a write */

enum use { /* what the process does with a file there, the worse the higher */
    USE_NONE,
    USE_OPEN,    /* may write */
    USE_TEMP,    /* was not there at the first look, or has no name any more: it makes files */
    USE_LOG,     /* appends, when there is something */
    USE_STUCK,   /* stands at the end and was tried: the end did not move */
    USE_REFUSED, /* appends, was tried, and nothing arrived */
    USE_NOW,     /* grew or shrank between the looks */
};

/* ---- the file system -------------------------------------------------------------------------------- */
/* Of what ext keeps back, root may take all but a fiftieth of the disk, at most 4096 blocks of mostly 4 KiB: those are for
 * promises that were made already. */
static uint64_t left_for(const struct facts_look *l, const struct facts_disk *d, uint32_t uid)
{
    uint64_t kept = d->room / 40 < 16 << 20 ? d->room / 40 : 16 << 20;
    if (uid == 0 && d->left == 0 && strncmp(facts_text(l, d->type), "ext", 3) == 0)
        return d->free > kept ? d->free - kept : 0;
    return d->left <= CRUMBS && d->left <= d->room / 1000 ? 0 : d->left;
}

static uint64_t percent_used(uint64_t left, uint64_t all)
{
    return left >= all ? 0 : judge_percent(all - left, all);
}

static uint64_t room_used(const struct facts_look *l, const struct facts_disk *d, uint32_t uid)
{
    return percent_used(left_for(l, d, uid), d->room);
}

static uint64_t inodes_used(const struct facts_disk *d)
{
    return percent_used(d->inodes_left, d->inodes);
}

struct disk { /* the same at both looks */
    const struct facts_disk *was, *now;
    bool no_room, no_inodes; /* for the process that is judged */
};

static bool is_full(const struct judge *j, uint32_t uid, struct disk *io)
{
    uint64_t limit = judge_limit(j, THRESHOLD_disk_used_percent);
    io->was = facts_disk(&j->facts->a, io->now->mount);
    if (!io->was || io->was->room != io->now->room)
        return false;
    io->no_room = room_used(&j->facts->a, io->was, uid) >= limit &&
                  room_used(&j->facts->b, io->now, uid) >= limit;
    io->no_inodes =
        io->now->inodes > 0 && inodes_used(io->was) >= limit && inodes_used(io->now) >= limit;
    return io->no_room || io->no_inodes;
}

/* ---- a file ----------------------------------------------------------------------------------------- */
static const char *path_of(const struct facts_look *l, const struct facts_file *f)
{
    const struct facts_fd *fd = facts_fd(l, f->pid, f->fd);
    return fd ? facts_text(l, fd->path) : "";
}

static bool has_ending(const char *path, const char *ending)
{
    size_t n = strlen(path), e = strlen(ending);
    return n >= e && strcmp(path + n - e, ending) == 0;
}

/* NULL: it was not open then. */
static const struct facts_file *file_before(const struct judge *j, const struct facts_file *f)
{
    const struct facts_file *was = facts_file(&j->facts->a, f->pid, f->fd);
    return was && was->mount == f->mount &&
                   strcmp(path_of(&j->facts->a, was), path_of(&j->facts->b, f)) == 0
               ? was
               : NULL;
}

static enum use use_of_full(const struct judge *j, const struct facts_file *f,
                            const struct facts_file *was)
{
    const struct facts_fd *fd = facts_fd(&j->facts->b, f->pid, f->fd);
    bool appends = fd && fd->flags != FACTS_NONE && (fd->flags & O_APPEND);
    bool at_end = f->size > 0 && f->position == f->size;
    if (!was)
        return USE_TEMP;
    if (was->size != f->size)
        return USE_NOW;
    if (was->changed_ns != f->changed_ns && (appends || at_end))
        return appends ? USE_REFUSED : USE_STUCK;
    return appends || f->fd == 1 || f->fd == 2 ? USE_LOG : USE_OPEN;
}

static enum use use_of(const struct judge *j, const struct facts_file *f, const struct disk *d)
{
    const struct facts_file *was = file_before(j, f);
    if (d->no_room)
        return use_of_full(j, f, was);
    return !was || has_ending(path_of(&j->facts->b, f), " (deleted)") ? USE_TEMP : USE_OPEN;
}

/* ---- what is said ----------------------------------------------------------------------------------- */
struct worst { /* of the files on one file system */
    const struct facts_file *file;
    const struct facts_process *process;
    struct disk disk;
    enum use use;
    uint32_t files;
};

static void find_worst(const struct judge *j, const struct facts_disk *disk, struct worst *out)
{
    const struct facts_look *b = &j->facts->b;
    for (uint32_t i = 0; i < b->files.n; i++) {
        const struct facts_file *f = &b->files.v[i];
        const struct facts_process *p = facts_process(b, f->pid);
        struct disk d = {.now = disk};
        if (f->mount != disk->mount || !p || !judge_is_target(j, f->pid) ||
            !is_full(j, p->uid, &d))
            continue;
        enum use use = use_of(j, f, &d);
        out->files++;
        if (use > out->use)
            out->file = f, out->process = p, out->disk = d, out->use = use;
    }
}

static void weigh(struct finding *f, enum use use)
{
    if (use < USE_STUCK)
        f->severity = use == USE_OPEN ? SEVERITY_INFO : SEVERITY_WARN;
    if (use == USE_STUCK || use == USE_LOG || use == USE_TEMP)
        finding_weaken(f, CERTAINTY_LIKELY);
    if (use == USE_OPEN)
        finding_weaken(f, CERTAINTY_HINT);
}

static void put_disk(const struct judge *j, struct finding *f, const struct worst *w)
{
    const struct facts_look *a = &j->facts->a, *b = &j->facts->b;
    const struct disk *d = &w->disk;
    uint32_t uid = w->process->uid;
    char text[EVIDENCE_TEXT];
    (void)snprintf(text, sizeof text, "%.70s (%.16s)", facts_text(b, d->now->dir),
                   facts_text(b, d->now->type));
    finding_text(f, EVIDENCE_DISK, wr_span_str(text));
    if (d->no_room) {
        finding_of(f, EVIDENCE_DISK_LEFT, left_for(a, d->was, uid), left_for(b, d->now, uid),
                   d->now->room);
        finding_value(f, EVIDENCE_DISK_USED, room_used(a, d->was, uid),
                      room_used(b, d->now, uid));
    } else {
        finding_of(f, EVIDENCE_INODES_LEFT, d->was->inodes_left, d->now->inodes_left,
                   d->now->inodes);
        finding_value(f, EVIDENCE_INODES_USED, inodes_used(d->was), inodes_used(d->now));
    }
    finding_over(f, &j->limits, THRESHOLD_disk_used_percent);
}

static void put_file(const struct judge *j, struct finding *f, const struct worst *w)
{
    const struct facts_file *was = file_before(j, w->file);
    uint64_t seen = j->facts->b.wall_ms, changed = w->file->changed_ns / 1000000;
    finding_text(f, EVIDENCE_FILE, wr_span_str(path_of(&j->facts->b, w->file)));
    finding_value(f, EVIDENCE_FILE_SIZE, was ? was->size : 0, w->file->size);
    if (seen) /* a recording may tell no clock */
        finding_value(f, EVIDENCE_TRIED_MS, seen > changed ? seen - changed : 0,
                      seen > changed ? seen - changed : 0);
    if (w->use == USE_REFUSED || w->use == USE_STUCK)
        finding_text(f, EVIDENCE_WRITES_REFUSED,
                     WR_LIT("its time of change moved, its end did not"));
    finding_value(f, EVIDENCE_FILES_THERE, w->files, w->files);
}

void rule_disk_full(const struct judge *j)
{
    const struct facts_look *b = &j->facts->b;
    for (uint32_t i = 0; i < b->disks.n; i++) {
        struct worst w = {0};
        find_worst(j, &b->disks.v[i], &w);
        if (!w.file)
            continue;
        struct finding *f = finding_add(j->out, RULE_DISK_FULL);
        finding_subject(f, (int32_t)w.process->pid, 0, judge_comm(w.process->comm));
        weigh(f, w.use);
        put_disk(j, f, &w);
        put_file(j, f, &w);
    }
}
