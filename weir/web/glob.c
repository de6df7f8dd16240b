/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/web/glob.h"

#include "libweir/base/err.h"
#include "libweir/os/os.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

/* ---- one name --------------------------------------------------------------------------------------------------- */

/* p is behind '['. The position behind ']', or NULL when there is none: then '[' is itself. */
static const char *match_set(const char *p, char c, bool *out_hit)
{
    bool not = *p == '!' || *p == '^', hit = false;
    const char *from = p += not ;
    for (; *p && (*p != ']' || p == from); p++) {
        char low = *p, high = low;
        if (p[1] == '-' && p[2] && p[2] != ']') {
            high = p[2];
            p += 2;
        }
        hit |=
            (unsigned char)c >= (unsigned char)low && (unsigned char)c <= (unsigned char)high;
    }
    *out_hit = hit != not ;
    return *p ? p + 1 : NULL;
}

bool glob_match(const char *pattern, const char *name)
{
    const char *star = NULL, *retry = NULL;
    if (*name == '.' && *pattern != '.')
        return false;
    while (*name) {
        bool hit = false;
        const char *next = NULL;
        if (*pattern == '*') {
            star = ++pattern;
            retry = name;
            continue;
        }
        if (*pattern == '[')
            next = match_set(pattern + 1, *name, &hit);
        if (!next && *pattern == '\\' && pattern[1])
            pattern++;
        if (!next) {
            hit = *pattern && (*pattern == *name || *pattern == '?');
            next = pattern + 1;
        }
        if (hit) {
            pattern = next;
            name++;
        } else if (star) {
            pattern = star;
            name = ++retry;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == '\0';
}

/* ---- all paths ----------------------------------------------------------------------------------------------------- */

struct glob {
    struct wr_arena *arena;
    const char **paths;
    int n, room;
};

static int add(struct glob *g, const char *path)
{
    if (g->n == GLOB_MAX)
        return WR_E_TOO_BIG;
    if (g->n == g->room) {
        int room = g->room ? 2 * g->room : 16;
        const char **paths = wr_arena_alloc(g->arena, (size_t)room * sizeof(*paths));
        if (!paths)
            return -ENOMEM;
        if (g->n)
            memcpy(paths, g->paths, (size_t)g->n * sizeof(*paths));
        g->paths = paths;
        g->room = room;
    }
    g->paths[g->n++] = path;
    return 0;
}

static int walk(struct glob *g, const char *done, const char *pattern);

static bool is_wild(struct wr_span s)
{
    return wr_span_find_char(s, '*') >= 0 || wr_span_find_char(s, '?') >= 0 ||
           wr_span_find_char(s, '[') >= 0;
}

/* A link that leads nowhere is there, too: whoever opens it says so. */
static bool exists(const char *path)
{
    struct stat st;
    char to;
    return !wr_os_stat(path, &st) || wr_os_readlink(path, &to, 1) >= 0;
}

/* done + name; then what is left of the pattern. */
static int descend(struct glob *g, const char *done, const char *name, const char *rest)
{
    char *path = wr_arena_printf(g->arena, "%s%s%s", done, name, *rest ? "/" : "");
    if (!path)
        return -ENOMEM;
    if (*rest)
        return walk(g, path, rest);
    return exists(path) ? add(g, path) : 0;
}

static int read_dir(struct glob *g, int fd, const char *done, const char *component,
                    const char *rest)
{
    _Alignas(struct dirent64) char names[8192];
    ssize_t n;
    while ((n = wr_os_getdents(fd, names, sizeof(names))) > 0) {
        for (ssize_t at = 0; at < n;) {
            const struct dirent64 *d = (const void *)(names + at);
            int err = 0;
            if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0 &&
                glob_match(component, d->d_name))
                err = descend(g, done, d->d_name, rest);
            if (err)
                return err;
            at += d->d_reclen;
        }
    }
    return 0;
}

static int walk(struct glob *g, const char *done, const char *pattern)
{
    struct wr_span rest = wr_span_str(pattern), first;
    if (!wr_span_split(&rest, '/', &first))
        return 0;
    const char *behind = rest.p ? rest.p : "";
    char *component = wr_arena_strndup(g->arena, first.p, first.n);
    if (!component)
        return -ENOMEM;
    if (!is_wild(first))
        return descend(g, done, component, behind);
    int fd = wr_os_open(*done ? done : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (fd < 0)
        return 0;
    int err = read_dir(g, fd, done, component, behind);
    wr_os_close(fd);
    return err;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

int glob_paths(const char *pattern, struct wr_arena *arena, const char ***out_paths)
{
    struct glob g = {.arena = arena};
    bool absolute = *pattern == '/';
    int err = walk(&g, absolute ? "/" : "", pattern + absolute);
    if (err)
        return err;
    if (g.n)
        qsort(g.paths, (size_t)g.n, sizeof(*g.paths), by_bytes);
    *out_paths = g.paths;
    return g.n;
}
