/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/cmd/opt.h"

#include "tests/tap.h"

static struct opt o;
static char error[128];

static int parse(const char *line)
{
    static char text[256];
    char *argv[16] = {NULL}, *p = text;
    int argc = 0;
    (void)snprintf(text, sizeof(text), "weir %s", line);
    error[0] = 0;
    o = (struct opt){0};
    for (char *word; (word = strsep(&p, " ")) && argc < 15;)
        if (*word)
            argv[argc++] = word;
    return opt_parse(argc, argv, &o, error, sizeof(error));
}

static void test_good(void)
{
    ok(parse("") == 0 && !o.test && !o.file, "nothing");
    ok(parse("-t") == 0 && o.test && !o.dump, "-t");
    ok(parse("-T") == 0 && o.test && o.dump, "-T tests too");
    ok(parse("-tqc f") == 0 && o.test && o.quiet && strcmp(o.file, "f") == 0, "-tqc f");
    ok(parse("-cf -p/x -g a;") == 0 && strcmp(o.file, "f") == 0 &&
           strcmp(o.prefix, "/x") == 0 && strcmp(o.directives, "a;") == 0,
       "parameters that lean on their switch");
    ok(parse("-e stderr -c -t") == 0 && strcmp(o.file, "-t") == 0 && !o.test,
       "a parameter may look like a switch");
    ok(parse("-s reload") == 0 && o.signal == OPT_RELOAD, "-s reload");
    ok(parse("-sstop") == 0 && o.signal == OPT_STOP, "-sstop");
    ok(parse("-?vV") == 0 && o.help && o.version && o.details, "-?vV");
    ok(parse("-") == 0, "a lone dash is nothing");
}

static void test_bad(void)
{
    static const char *const cases[][2] = {
        {"foo",      "invalid option: \"foo\""              },
        {"-x",       "invalid option: \"x\""                },
        {"-tz",      "invalid option: \"z\""                },
        {"-c",       "option \"-c\" requires file name"     },
        {"-e",       "option \"-e\" requires file name"     },
        {"-p",       "option \"-p\" requires directory name"},
        {"-g",       "option \"-g\" requires parameter"     },
        {"-t -s",    "option \"-s\" requires parameter"     },
        {"-s bogus", "invalid option: \"-s bogus\""         },
    };
    for (size_t i = 0; i < WR_ARRAY_LEN(cases); i++) {
        int err = parse(cases[i][0]);
        ok(err < 0 && strcmp(error, cases[i][1]) == 0, "%s: %s", cases[i][0], error);
    }
}

int main(void)
{
    test_good();
    test_bad();
    return tap_done();
}
