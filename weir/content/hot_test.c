/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The hot-file cache against a real directory: whatever is done to a file or to what lies above it, the next
 * look does not show the old one.
 */
#include "tests/tap.h"
#include "weir/content/hot_private.h"

#include "libweir/os/os.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char top[64];
static struct hot_cache *cache;
static struct wr_loop *loop;

/* ---- the tree: top/a/b/f, asked for by one and the same connection in turns of its own -------------------- */

static const char *at(const char *rest)
{
    static char path[4][256];
    static int i;
    i = (i + 1) % 4;
    (void)snprintf(path[i], sizeof path[i], "%s%s", top, rest);
    return path[i];
}

static void write_file(const char *rest, const char *text)
{
    FILE *f = fopen(at(rest), "w");
    if (!f || fputs(text, f) < 0 || fclose(f))
        printf("Bail out! cannot write %s\n", at(rest));
}

static struct hot_file *get(const char *rest)
{
    (void)wr_loop_turn(loop, 0); /* in which events come first */
    return hot_get(cache, wr_span_str(at(rest)), true);
}

static bool shows(const char *rest, const char *text)
{
    struct hot_file *f = get(rest);
    return f && wr_span_eq(f->web.memory, wr_span_str(text));
}

static bool put(const char *rest)
{
    return hot_put(cache, wr_span_str(at(rest)));
}

static void make_tree(void)
{
    (void)(mkdir(at("/a"), 0755) | mkdir(at("/a/b"), 0755));
    write_file("/a/b/f", "one");
    write_file("/a/b/g", "other");
}

static void remove_tree(void)
{
    char cmd[128];
    (void)snprintf(cmd, sizeof cmd, "rm -rf '%s'", top);
    (void)!system(cmd);
    (void)!mkdir(top, 0755);
}

static void open_cache(const struct hot_options *o)
{
    if (hot_new(loop, o, &cache))
        printf("Bail out! no cache\n");
}

static const struct hot_options usual = {.max = 1 << 20, .file_max = 64 << 10};

/* ---- what can happen to a file ----------------------------------------------------------------------------------- */

static void rewritten(void)
{
    write_file("/a/b/f", "two");
}
static void appended(void)
{
    FILE *f = fopen(at("/a/b/f"), "a");
    if (f)
        (void)(fputc('x', f) + fclose(f));
}
static void truncated(void)
{
    (void)!truncate(at("/a/b/f"), 1);
}
static void replaced(void)
{
    write_file("/a/b/new", "two");
    (void)rename(at("/a/b/new"), at("/a/b/f"));
}
static void removed(void)
{
    (void)unlink(at("/a/b/f"));
}
static void renamed(void)
{
    (void)rename(at("/a/b/f"), at("/a/b/h"));
}
static void made_a_link(void)
{
    (void)unlink(at("/a/b/f"));
    (void)!symlink("g", at("/a/b/f"));
}
static void rights_of_file(void)
{
    (void)chmod(at("/a/b/f"), 0);
}
static void rights_of_directory(void)
{
    (void)chmod(at("/a/b"), 0700);
}
static void rights_above(void)
{
    (void)chmod(at("/a"), 0700);
}
static void directory_renamed(void)
{
    (void)rename(at("/a/b"), at("/a/c"));
}
static void above_renamed(void)
{
    (void)rename(at("/a"), at("/z"));
}
static void directory_exchanged(void)
{
    (void)mkdir(at("/a/n"), 0755);
    write_file("/a/n/f", "two");
    (void)rename(at("/a/b"), at("/a/old"));
    (void)rename(at("/a/n"), at("/a/b"));
}
static void above_made_a_link(void)
{
    (void)rename(at("/a"), at("/z"));
    (void)!symlink("z", at("/a"));
}

static const struct {
    const char *name;
    void (*fn)(void);
} events[] = {
    {"rewritten in place",                   rewritten          },
    {"appended to",                          appended           },
    {"truncated",                            truncated          },
    {"replaced by rename",                   replaced           },
    {"removed",                              removed            },
    {"renamed",                              renamed            },
    {"replaced by a link",                   made_a_link        },
    {"rights of the file",                   rights_of_file     },
    {"rights of its directory",              rights_of_directory},
    {"rights further up",                    rights_above       },
    {"its directory renamed",                directory_renamed  },
    {"a directory above renamed",            above_renamed      },
    {"its directory exchanged",              directory_exchanged},
    {"a directory above replaced by a link", above_made_a_link  },
};

static void test_events(void)
{
    for (unsigned i = 0; i < WR_ARRAY_LEN(events); i++) {
        make_tree();
        open_cache(&usual);
        ok(put("/a/b/f") && shows("/a/b/f", "one"), "kept");
        ok(hot_stats(cache).watched == 1, "watched");
        uint64_t stats = hot_stats(cache).stats;
        ok(shows("/a/b/f", "one") && hot_stats(cache).stats == stats, "without a system call");
        events[i].fn();
        ok(get("/a/b/f") == NULL, "%s: the old one is not shown", events[i].name);
        ok(wr_table_count(&cache->files) == 0 && wr_table_count(&cache->dirs) == 0,
           "%s: and nothing stays behind", events[i].name);
        hot_free(&cache);
        remove_tree();
    }
}

/* Within one turn: only who was announced is believed to be older than what was read of the events. */
static void test_younger(void)
{
    make_tree();
    open_cache(&usual);
    struct wr_span path = wr_span_str(at("/a/b/f"));
    ok(put("/a/b/f") && shows("/a/b/f", "one"), "kept");
    rewritten();
    ok(hot_get(cache, path, true) != NULL, "the kernel is asked once a turn");
    ok(hot_get(cache, path, false) == NULL, "and for who may be younger");
    ok(put("/a/b/f") && shows("/a/b/f", "two"), "kept again");
    rewritten();
    cache->turn--; /* as in the next one, whose wait did not tell of the events */
    ok(hot_get(cache, path, true) == NULL, "the first of a turn asks, told or not");
    hot_free(&cache);
    remove_tree();
}

/* Neighbours may change as they like. */
static void test_neighbours(void)
{
    make_tree();
    open_cache(&usual);
    ok(put("/a/b/f") && put("/a/b/g"), "two are kept");
    write_file("/a/b/g", "changed");
    ok(get("/a/b/g") == NULL && shows("/a/b/f", "one"), "one goes, one stays");
    (void)mkdir(at("/a/other"), 0755);
    (void)rmdir(at("/a/other"));
    ok(shows("/a/b/f", "one"), "a directory beside");
    hot_free(&cache);
    remove_tree();
}

/* ---- where watches are not trusted ----------------------------------------------------------------------------- */

static void test_asked(void)
{
    make_tree();
    (void)!symlink("a", at("/link"));
    (void)!link(at("/a/b/g"), at("/a/b/hard"));
    open_cache(&usual);
    ok(!put("/link/b/f"), "too young to tell changes by its times");
    hot_free(&cache);
    (void)sleep(3);
    open_cache(&usual);
    (void)wr_loop_turn(loop, 0);
    ok(put("/link/b/f") && put("/a/b/hard"), "old enough");
    is_int(hot_stats(cache).watched, 0, "no watch");
    uint64_t before = hot_stats(cache).stats;
    ok(shows("/link/b/f", "one") && shows("/a/b/hard", "other"), "shown");
    is_int(hot_stats(cache).stats, before + 2, "each time with a look");
    (void)unlink(at("/link"));
    ok(get("/link/b/f") == NULL, "the link has gone");
    write_file("/a/b/g", "changed");
    ok(get("/a/b/hard") == NULL, "changed by its other name");
    hot_free(&cache);
    open_cache(&(struct hot_options){.max = 1 << 20, .file_max = 4096, .no_watch = true});
    ok(put("/a/b/f") && hot_stats(cache).watched == 0 && shows("/a/b/f", "one"), "no inotify");
    rewritten();
    ok(get("/a/b/f") == NULL, "rewritten, no inotify");
    hot_free(&cache);
    remove_tree();
}

/* ---- bounds -------------------------------------------------------------------------------------------------------- */

static void test_bounds(void)
{
    char text[3001], name[32];
    make_tree();
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    open_cache(&(struct hot_options){.max = 20000, .file_max = 4096});
    for (int i = 0; i < 30; i++) {
        (void)snprintf(name, sizeof name, "/a/b/n%d", i);
        write_file(name, text);
        (void)put(name);
        (void)shows("/a/b/n0", text);
        if (hot_stats(cache).bytes > 20000)
            ok(false, "over its bound");
    }
    ok(hot_stats(cache).evicted > 20, "the least used go");
    ok(shows("/a/b/n0", text), "the most used stays");
    (void)truncate(at("/a/b/g"), 5000);
    ok(!put("/a/b/g"), "too long for it");
    struct hot_file *f = get("/a/b/n0");
    struct web_file *held = f ? web_file_ref(&f->web) : NULL;
    (void)unlink(at("/a/b/n0"));
    ok(get("/a/b/n0") == NULL && held && held->memory.p[2999] == 'x', "who reads it reads on");
    web_file_unref(&held);
    (void)mkfifo(at("/a/b/fifo"), 0644);
    ok(!put("/a/b/fifo") && !put("/a/b") && !put("/a/none") && !put("/a//b/f"),
       "no file, no entry");
    ok(!put("relative"), "nor a path from nowhere");
    hot_free(&cache);
    remove_tree();
}

/* The only file of a directory goes to make room for another one of it, or of a directory above. */
static void test_last_of_directory(void)
{
    char text[3001];
    memset(text, 'x', 3000);
    text[3000] = '\0';
    make_tree();
    write_file("/a/b/one", text);
    write_file("/a/b/two", text);
    write_file("/a/three", text);
    open_cache(&(struct hot_options){.max = 4096, .file_max = 4096});
    ok(put("/a/b/one") && put("/a/b/two"), "one file makes room for its neighbour");
    ok(get("/a/b/one") == NULL && shows("/a/b/two", text), "which is kept");
    ok(hot_stats(cache).watches > 2, "and watched");
    ok(put("/a/three") && shows("/a/three", text), "one below for one above");
    write_file("/a/three", "new");
    ok(get("/a/three") == NULL, "and its directory is watched");
    is_int(hot_stats(cache).evicted, 2, "each has gone by itself");
    hot_free(&cache);
    remove_tree();
}

static bool has_openat2(void)
{
    int fd = wr_os_openat2(AT_FDCWD, top, O_RDONLY | O_CLOEXEC, 0);
    if (fd >= 0)
        (void)wr_os_close(fd);
    return fd != -ENOSYS;
}

int main(void)
{
    (void)snprintf(top, sizeof top, "/tmp/weir-hot-%d", (int)getpid());
    (void)mkdir(top, 0755);
    if (wr_loop_new(NULL, &loop))
        return 1;
    if (!has_openat2()) { /* valgrind does not know it, and nothing is kept */
        skip("no openat2 here");
        (void)rmdir(top);
        wr_loop_free(&loop);
        return tap_done();
    }
    test_events();
    test_younger();
    test_neighbours();
    test_bounds();
    test_last_of_directory();
    test_asked();
    wr_loop_free(&loop);
    (void)rmdir(top);
    return tap_done();
}
