/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/content/file.h"
#include "weir/content/hot.h"

#include "libweir/io/log.h"
#include "libweir/os/os.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/openat2.h>

#define OPEN_FLAGS (O_RDONLY | O_NONBLOCK | O_NOCTTY)

/* ---- the kernel ----------------------------------------------------------------------------------------- */

static bool is_symlink(int dirfd, const char *name)
{
    struct stat st;
    return wr_os_statat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode);
}

/* One step of a walk that trusts a link only if it belongs to the owner of what it leads to. */
static int step_of_owner(int dirfd, const char *name, int flags)
{
    struct stat link, target;
    int look = flags & O_PATH ? O_PATH : flags; /* O_DIRECTORY would hide that it is a link */
    int fd = wr_os_openat2(dirfd, name, look | O_NOFOLLOW, 0);
    bool is_link = fd == -ELOOP || (fd == -ENOTDIR && is_symlink(dirfd, name));
    if (fd >= 0 && flags & O_PATH) {
        int err = wr_os_fstat(fd, &target);
        is_link = err == 0 && S_ISLNK(target.st_mode);
        if (is_link || err)
            (void)wr_os_close(fd);
        if (err)
            return err;
    }
    if (!is_link)
        return fd;
    int err = wr_os_statat(dirfd, name, &link, AT_SYMLINK_NOFOLLOW);
    if (err)
        return err;
    fd = wr_os_openat2(dirfd, name, flags, 0);
    if (fd < 0)
        return fd;
    err = wr_os_fstat(fd, &target);
    if (!err && target.st_uid != link.st_uid)
        err = -ELOOP;
    if (err)
        (void)wr_os_close(fd);
    return err ? err : fd;
}

/* path[from..] below dirfd, component by component. Takes dirfd. */
static int walk_of_owner(int dirfd, const char *path, int flags)
{
    char name[NAME_MAX + 1];
    for (;;) {
        while (*path == '/')
            path++;
        size_t n = strcspn(path, "/");
        bool last = path[n] == '\0' || path[n + strspn(path + n, "/")] == '\0';
        if (n > NAME_MAX) {
            (void)wr_os_close(dirfd);
            return -ENAMETOOLONG;
        }
        memcpy(name, path, n);
        name[n] = '\0';
        if (last && path[n] == '/')
            flags |= O_DIRECTORY;
        int fd = n == 0 ? wr_os_openat2(dirfd, ".", flags, 0)
                        : step_of_owner(dirfd, name, last ? flags : O_PATH | O_DIRECTORY);
        (void)wr_os_close(dirfd);
        if (fd < 0 || last)
            return fd == -ENOTDIR && !last ? -ENOTDIR : fd;
        dirfd = fd;
        path += n;
    }
}

/* Where the judged part begins: the part before is followed as it is. */
static int open_base(const struct file_call *c, char *base, size_t size)
{
    if (c->from == 0)
        return wr_os_open(c->path[0] == '/' ? "/" : ".", O_PATH | O_DIRECTORY, 0);
    if (c->from >= size)
        return -ENAMETOOLONG;
    memcpy(base, c->path, c->from);
    base[c->from] = '\0';
    return wr_os_open(base, O_PATH | O_DIRECTORY, 0);
}

/* A link on the way is no directory; one at the end is refused. base has room for a path. */
static int why_refused(int dirfd, const char *rest, char *base, size_t size)
{
    const char *slash = strrchr(rest, '/');
    size_t n = slash ? (size_t)(slash - rest) : 0;
    if (n == 0 || n >= size)
        return -ELOOP;
    memcpy(base, rest, n);
    base[n] = '\0';
    int fd = wr_os_openat2(dirfd, base, O_PATH, RESOLVE_NO_SYMLINKS);
    if (fd < 0)
        return -ENOTDIR;
    (void)wr_os_close(fd);
    return -ELOOP;
}

static int open_judged(const struct file_call *c)
{
    char base[PATH_MAX];
    const char *rest = c->path + c->from;
    int dirfd = open_base(c, base, sizeof base);
    if (dirfd < 0)
        return dirfd;
    while (*rest == '/')
        rest++;
    if (c->links == CORE_SYMLINKS_OWNER)
        return walk_of_owner(dirfd, rest, OPEN_FLAGS);
    int fd = wr_os_openat2(dirfd, *rest ? rest : ".", OPEN_FLAGS, RESOLVE_NO_SYMLINKS);
    if (fd == -ELOOP)
        fd = why_refused(dirfd, rest, base, sizeof base);
    (void)wr_os_close(dirfd);
    return fd;
}

static int judge(struct file_call *c, int fd)
{
    int err = wr_os_fstat(fd, &c->st);
    c->failed = "fstat()";
    bool wanted = c->flags & FILE_DIRECTORY ? S_ISDIR(c->st.st_mode) : S_ISREG(c->st.st_mode);
    if (err || c->flags & FILE_TEST || !wanted) {
        (void)wr_os_close(fd);
        return !err && c->flags & FILE_DIRECTORY ? -ENOTDIR : err;
    }
    c->fd = fd;
    return 0;
}

int file_call(struct file_call *c)
{
    c->fd = -1;
    if (c->flags & FILE_TEST && c->links == CORE_SYMLINKS_FOLLOW) {
        c->failed = "stat()";
        return wr_os_stat(c->path, &c->st);
    }
    c->failed = "open()";
    int fd =
        c->links == CORE_SYMLINKS_FOLLOW ? wr_os_open(c->path, OPEN_FLAGS, 0) : open_judged(c);
    return fd < 0 ? fd : judge(c, fd);
}

int file_call_init(struct web_req *r, struct wr_span path, unsigned flags,
                   struct file_call *out)
{
    const struct core_symlinks_conf *links = &core_of(r->location)->symlinks;
    *out = (struct file_call){.path = path.p, .links = links->mode, .flags = flags, .fd = -1};
    if (links->mode == CORE_SYMLINKS_FOLLOW || links->from.text.n == 0)
        return 0;
    struct wr_span from;
    int err = web_value_eval(r, &links->from, &from);
    if (err)
        return err;
    if (from.n && from.p[from.n - 1] == '/')
        from.n--;
    bool begins = wr_span_has_prefix(path, from) && from.n > 0;
    if (begins && path.n == from.n)
        out->links = CORE_SYMLINKS_FOLLOW;
    else if (begins && path.p[from.n] == '/')
        out->from = from.n;
    return 0;
}

/* ---- counted files ---------------------------------------------------------------------------------------- */

struct opened {
    struct web_file web;
    const struct wr_heap *heap;
    size_t size;
    char path[];
};

static void opened_gone(struct web_file *f)
{
    struct opened *o = wr_container_of(f, struct opened, web);
    (void)wr_os_close(f->fd);
    wr_heap_free(o->heap, o, o->size);
}

static struct web_file *opened_new(struct web_req *r, const struct file_call *c)
{
    const struct wr_heap *heap = wr_loop_heap(web_loop(r));
    size_t n = strlen(c->path) + 1, size = sizeof(struct opened) + n;
    struct opened *o = wr_heap_alloc(heap, size);
    if (!o)
        return NULL;
    memcpy(o->path, c->path, n);
    o->heap = heap;
    o->size = size;
    o->web = (struct web_file){.fd = c->fd,
                               .refs = 1,
                               .size = (uint64_t)c->st.st_size,
                               .mtime = c->st.st_mtime,
                               .inode = c->st.st_ino,
                               .path = o->path,
                               .gone = opened_gone};
    return &o->web;
}

static int take(struct web_req *r, const struct file_call *c, struct file_info *out)
{
    *out = (struct file_info){.is_dir = S_ISDIR(c->st.st_mode),
                              .is_file = S_ISREG(c->st.st_mode),
                              .size = (uint64_t)c->st.st_size,
                              .inode = c->st.st_ino,
                              .mtime = c->st.st_mtime};
    if (c->fd < 0)
        return 0;
    uint64_t ahead = core_of(r->location)->read_ahead;
    if (ahead && out->size > ahead)
        (void)wr_os_read_ahead(c->fd);
    out->file = opened_new(r, c);
    if (out->file)
        return 0;
    (void)wr_os_close(c->fd);
    return -ENOMEM;
}

/* ---- finding ------------------------------------------------------------------------------------------------ */

int file_known(struct web_req *r, struct wr_span path, unsigned flags, struct file_info *out,
               int *out_err)
{
    *out = (struct file_info){0};
    *out_err = 0;
    if (hot_find(r, path, flags, out))
        return 1;
    if (!file_conf(r)->cache || !file_cache_get(r, path, flags, out, out_err))
        return 0;
    if (!*out_err)
        hot_offer(r, path, out);
    return 1;
}

int file_learn(struct web_req *r, struct wr_span path, const struct file_call *c, int err,
               struct file_info *out)
{
    if (!err)
        err = take(r, c, out);
    if (!err)
        hot_offer(r, path, out);
    out->failed = c->failed;
    if (file_conf(r)->cache)
        file_cache_put(r, path, c, err, out);
    return err;
}

int file_find(struct web_req *r, struct wr_span path, unsigned flags, struct file_info *out)
{
    struct file_call call;
    int err;
    if (file_known(r, path, flags, out, &err))
        return err;
    err = file_call_init(r, path, flags, &call);
    if (!err)
        err = file_call(&call);
    return file_learn(r, path, &call, err, out);
}

int file_status(struct web_req *r, int err, const char *failed, struct wr_span path)
{
    int level = WR_LOG_ERROR, status;
    switch (-err) {
    case ENOENT:
    case ENOTDIR:
    case ENAMETOOLONG:
        status = 404;
        break;
    case EACCES:
    case ELOOP:
    case EMLINK:
        status = 403;
        break;
    default:
        level = WR_LOG_CRIT;
        status = 500;
        break;
    }
    if (status != 404 || core_of(r->location)->log_not_found)
        web_error(r, level, err, "%s \"%.*s\" failed", failed ? failed : "open()",
                  WR_SPANF(path));
    return status;
}

/* ---- answers -------------------------------------------------------------------------------------------------- */

int file_stamp(struct web_req *r, const struct file_info *info)
{
    r->out.last_modified = info->mtime;
    if (!core_of(r->location)->etag)
        return 0;
    char *tag = wr_arena_printf(r->arena, "\"%" PRIx64 "-%" PRIx64 "\"", (uint64_t)info->mtime,
                                info->size);
    if (!tag)
        return -ENOMEM;
    r->out.etag = wr_span_str(tag);
    return 0;
}
