/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Files that are open for writing, and the room that is left on their file systems. fdinfo tells of a descriptor how it
 * was opened, where it stands and on which mount; mountinfo what kind of file system that is; statfs, once for each
 * mount, what is left there.
 */
#include "weir/doctor/look/look.h"

#include "libweir/os/os.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/vfs.h>

#define FILES_MAX  128 /* of one process */
#define MOUNTS_MAX 64

struct mount { /* that files were found on */
    uint32_t id;
    bool asked; /* has a row; the others are of another kind, or hidden */
};

struct disks {
    struct facts_look *look;
    struct mount mount[MOUNTS_MAX];
    uint32_t mounts;
};

struct info { /* of an open file */
    uint64_t position, mount;
    uint32_t flags;
};

/* ---- a file system ---------------------------------------------------------------------------------- */
/* Of these, statfs tells what a write may still take, and never waits for somebody else. Not the network's, not
 * fuse, not those of the kernel's own making. */
static bool is_known(struct wr_span type)
{
    static const char *const known[] = {"ext4",     "xfs",  "btrfs", "tmpfs", "overlay",
                                        "ext3",     "ext2", "f2fs",  "zfs",   "jfs",
                                        "bcachefs", "vfat", "exfat", "ntfs3"};
    for (unsigned i = 0; i < WR_ARRAY_LEN(known); i++)
        if (wr_span_eq(type, wr_span_str(known[i])))
            return true;
    return false;
}

struct search { /* for a mount in mountinfo */
    struct facts_look *look;
    struct facts_disk row;
    uint32_t lines;
    int err;
    bool found;
};

static void on_mount(void *arg, struct wr_span line)
{
    struct search *s = arg;
    struct proc_mount m;
    if (s->lines++ % LOOK_SOME == 0)
        look_pause(s->look->pace);
    if (s->found || !proc_mount_line(line, s->row.mount, &m) || m.read_only ||
        !is_known(m.type))
        return;
    s->err = facts_text_add(s->look, m.type, &s->row.type);
    if (!s->err)
        s->err = facts_text_add(s->look, m.dir, &s->row.dir);
    s->found = true;
}

/* Inodes are no limit where there are none to be counted. */
static bool measure(const char *path, struct facts_disk *io)
{
    struct statfs s;
    if (wr_os_statfs(path, &s) || s.f_blocks == 0)
        return false;
    uint64_t block = (uint64_t)(s.f_frsize ? s.f_frsize : s.f_bsize);
    io->room = s.f_blocks * block;
    io->free = s.f_bfree * block;
    io->left = s.f_bavail * block;
    io->inodes = s.f_files;
    io->inodes_left = s.f_ffree;
    return true;
}

/* The mount of a descriptor, asked when it is met first. */
static int look_mount(struct disks *d, const struct facts_fd *f, uint32_t id, bool *out_asked)
{
    struct search s = {.look = d->look, .row.mount = id};
    char path[48];
    *out_asked = false;
    for (uint32_t i = 0; i < d->mounts; i++) {
        if (d->mount[i].id == id) {
            *out_asked = d->mount[i].asked;
            return 0;
        }
    }
    if (d->mounts == MOUNTS_MAX)
        return 0;
    (void)snprintf(path, sizeof path, "/proc/%u/mountinfo", f->pid);
    (void)!look_lines(path, on_mount, &s);
    (void)snprintf(path, sizeof path, "/proc/%u/fd/%d", f->pid, f->fd);
    *out_asked = !s.err && s.found && measure(path, &s.row);
    d->mount[d->mounts++] = (struct mount){.id = id, .asked = *out_asked};
    if (*out_asked)
        s.err = FACTS_ADD(&d->look->disks, d->look->heap, &s.row);
    return s.err;
}

/* ---- a file ----------------------------------------------------------------------------------------- */
static void on_info(void *arg, struct wr_span line)
{
    struct info *i = arg;
    proc_flags_line(line, &i->flags);
    (void)!proc_named(line, WR_LIT("pos:"), &i->position);
    (void)!proc_named(line, WR_LIT("mnt_id:"), &i->mount);
}

static bool is_for_writing(const struct info *i)
{
    return i->flags != FACTS_NONE && (i->flags & O_ACCMODE) != O_RDONLY &&
           i->mount < FACTS_NONE;
}

static int look_file(struct disks *d, struct facts_fd *f)
{
    char path[48];
    struct stat st;
    struct info info = {.mount = FACTS_UNKNOWN, .flags = FACTS_NONE};
    bool asked;
    look_pause(d->look->pace);
    (void)snprintf(path, sizeof path, "/proc/%u/fdinfo/%d", f->pid, f->fd);
    (void)!look_lines(path, on_info, &info);
    if (!is_for_writing(&info))
        return 0;
    int err = look_mount(d, f, (uint32_t)info.mount, &asked);
    (void)snprintf(path, sizeof path, "/proc/%u/fd/%d", f->pid, f->fd);
    if (err || !asked || wr_os_stat(path, &st) || !S_ISREG(st.st_mode))
        return err;
    f->flags = info.flags;
    struct facts_file row = {.position = info.position,
                             .size = (uint64_t)st.st_size,
                             .changed_ns = (uint64_t)st.st_mtim.tv_sec * 1000000000 +
                                           (uint64_t)st.st_mtim.tv_nsec,
                             .pid = f->pid,
                             .fd = f->fd,
                             .mount = (uint32_t)info.mount};
    return FACTS_ADD(&d->look->files, d->look->heap, &row);
}

/* Devices and memory files are none, and standing in them is cheap to see. */
static bool is_worth_asking(const struct facts_look *l, const struct facts_fd *f)
{
    const char *path = facts_text(l, f->path);
    return f->kind == FACTS_FD_FILE && strncmp(path, "/memfd:", 7) != 0 &&
           strcmp(path, "/dev/null") != 0;
}

int look_disks(struct facts_look *l, const uint32_t *pids, uint32_t n)
{
    struct disks d = {.look = l};
    int err = 0;
    for (uint32_t i = 0; !err && i < n; i++) {
        uint32_t count, asked = 0;
        const struct facts_fd *first = facts_fds(l, pids[i], &count);
        for (uint32_t k = 0; !err && k < count && asked < FILES_MAX; k++) {
            struct facts_fd *f = &l->fds.v[first - l->fds.v + k];
            if (!is_worth_asking(l, f))
                continue;
            asked++;
            err = look_file(&d, f);
        }
    }
    return err;
}
