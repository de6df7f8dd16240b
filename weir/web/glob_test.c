/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/web/glob.h"

#include "tests/mem_kit.h"
#include "tests/tap.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static void test_match(void)
{
    static const struct {
        const char *pattern, *name;
        bool match;
    } cases[] = {
        {"*",        "a",       true },
        {"*",        "",        true },
        {"*",        ".a",      false},
        {".*",       ".a",      true },
        {"*.conf",   "a.conf",  true },
        {"*.conf",   "a.conf~", false},
        {"a*b*c",    "aXbYbZc", true },
        {"a*b*c",    "aXbYbZ",  false},
        {"a?c",      "abc",     true },
        {"a?c",      "ac",      false},
        {"[a-c]x",   "bx",      true },
        {"[!a-c]x",  "bx",      false},
        {"[!a-c]x",  "dx",      true },
        {"[]]x",     "]x",      true },
        {"[a",       "[a",      true },
        {"\\*",      "*",       true },
        {"\\*",      "a",       false},
        {"*[0-9]**", "ab3",     true },
        {"a",        "ab",      false},
    };
    for (size_t i = 0; i < WR_ARRAY_LEN(cases); i++)
        is_int(glob_match(cases[i].pattern, cases[i].name), cases[i].match, "%s and %s",
               cases[i].pattern, cases[i].name);
}

static void touch(const char *name)
{
    int fd = open(name, O_CREAT | O_WRONLY, 0600);
    if (fd < 0)
        abort();
    close(fd);
}

static void is_paths(struct wr_arena *a, const char *pattern, const char *want)
{
    const char **paths = NULL;
    char all[512] = "";
    int n = glob_paths(pattern, a, &paths);
    for (int i = 0; i < n; i++)
        (void)snprintf(all + strlen(all), sizeof(all) - strlen(all), "%s ", paths[i]);
    is_str(all, want, "%s", pattern);
}

int main(void)
{
    struct mem_kit mem;
    struct wr_arena a;
    char dir[] = "/tmp/glob-test-XXXXXX", wild[64], want[128];
    if (mem_kit_init(&mem, wr_heap_libc(), NULL) < 0 || !mkdtemp(dir) || chdir(dir) < 0)
        abort();
    wr_arena_init(&a, &mem.arenas, NULL, WR_ARENA_CHUNK);
    test_match();
    if (mkdir("d1", 0700) || mkdir("d2", 0700) || mkdir("d3", 0700))
        abort();
    touch("d1/b.conf"), touch("d1/a.conf"), touch("d2/c.conf"), touch("d2/.h.conf"),
        touch("d3/n");
    if (symlink("nowhere", "d3/gone"))
        abort();
    is_paths(&a, "d1/*.conf", "d1/a.conf d1/b.conf ");
    is_paths(&a, "d*/*.conf", "d1/a.conf d1/b.conf d2/c.conf ");
    is_paths(&a, "d[23]/*", "d2/c.conf d3/gone d3/n ");
    is_paths(&a, "*/gone", "d3/gone ");
    is_paths(&a, "*/n", "d3/n ");
    is_paths(&a, "none*/x", "");
    (void)snprintf(wild, sizeof(wild), "%s/d?/n", dir);
    (void)snprintf(want, sizeof(want), "%s/d3/n ", dir);
    is_paths(&a, wild, want);
    unlink("d1/b.conf"), unlink("d1/a.conf"), unlink("d2/c.conf"), unlink("d2/.h.conf");
    unlink("d3/n"), unlink("d3/gone"), rmdir("d1"), rmdir("d2"), rmdir("d3"), rmdir(dir);
    wr_arena_deinit(&a);
    mem_kit_deinit(&mem);
    return tap_done();
}
