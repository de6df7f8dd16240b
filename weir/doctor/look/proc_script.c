/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What an interpreter runs: of "python3 -u /srv/app/worker.py --port 80" the name worker.py. Only this word is taken from
 * a command line; the others may be secrets.
 */
#include "weir/doctor/look/look.h"

static struct wr_span base_name(struct wr_span path)
{
    for (size_t i = path.n; i > 0; i--)
        if (path.p[i - 1] == '/')
            return wr_span_sub(path, i, path.n);
    return path;
}

bool proc_is_interpreter(struct wr_span exe)
{
    static const char *const names[] = {"python", "java", "node", "ruby", "perl",
                                        "php",    "lua",  "deno", "bun",  "dotnet"};
    struct wr_span name = base_name(exe);
    for (size_t i = 0; i < WR_ARRAY_LEN(names); i++)
        if (wr_span_has_prefix(name, wr_span_str(names[i])))
            return true;
    return false;
}

/* These have a value in the next word, which is not what is run. */
static bool takes_value(struct wr_span word)
{
    static const char *const words[] = {"-cp", "-classpath", "--class-path", "-p", "-r",
                                        "-I",  "-W",         "-X",           "-c", "-e"};
    for (size_t i = 0; i < WR_ARRAY_LEN(words); i++)
        if (wr_span_eq(word, wr_span_str(words[i])))
            return true;
    return false;
}

/* Code in the command line itself has no name. */
static bool is_code(struct wr_span word)
{
    return wr_span_eq(word, WR_LIT("-c")) || wr_span_eq(word, WR_LIT("-e"));
}

struct wr_span proc_script(struct wr_span cmdline)
{
    struct wr_span word;
    bool skip = true; /* the interpreter's own name */
    while (wr_span_split(&cmdline, 0, &word)) {
        if (skip) {
            skip = false;
            continue;
        }
        if (is_code(word))
            break;
        if (word.n > 0 && word.p[0] != '-')
            return base_name(word);
        skip = takes_value(word);
    }
    return WR_LIT("");
}
