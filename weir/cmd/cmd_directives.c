/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/cmd/cmd.h"
#include "weir/cmd/out.h"
#include "weir/web/vars.h"

#include <string.h>

/*
 * The rows of all modules, as a person reads them: `weir directives [NAME]`, and as weir.conf(5): --man. The page in
 * docs/man is this output, and a test compares them.
 */

static const char preface[] =
    ".\\\" Made by `weir directives --man` from the tables of directives: change those.\n"
    ".Dd November 21, 2026\n"
    ".Dt WEIR.CONF 5\n"
    ".Os\n"
    ".Sh NAME\n"
    ".Nm weir.conf\n"
    ".Nd configuration of the weir web server\n"
    ".Sh DESCRIPTION\n"
    "The configuration of\n"
    ".Xr weir 8\n"
    "is written in the grammar of nginx, with its contexts and its inheritance; files written "
    "for nginx are read\n"
    "unchanged.\n"
    "Directives of parts that do not exist yet, as proxying, are refused by name.\n"
    "A directive is a name, words, and a semicolon; or a name, words, and a block in braces:\n"
    ".Bd -literal -offset indent\n"
    "events { }\n"
    "http { server { listen 8080; root /srv/www; } }\n"
    ".Ed\n"
    ".Pp\n"
    "A word ends at a space,\n"
    ".Ql \\&; ,\n"
    "or\n"
    ".Ql { .\n"
    "Words that contain these stand in single or double quotes, or have a backslash before "
    "them.\n"
    ".Ql #\n"
    "where a word could begin starts a comment.\n"
    ".Ql $name\n"
    "and\n"
    ".Ql ${name}\n"
    "are variables where a directive says that it takes them.\n"
    ".Ic include Ar file | mask ;\n"
    "stands everywhere and reads other files in its place, relative to the directory of the "
    "first file; those of a\n"
    "mask in the order of their names.\n"
    ".Pp\n"
    "Sizes are bytes, or end in\n"
    ".Ql k ,\n"
    ".Ql m\n"
    "or\n"
    ".Ql g .\n"
    "Times are seconds, or end in\n"
    ".Ql ms , s , m , h , d , w , M , y ,\n"
    "or are several of these:\n"
    ".Ql 1h30m .\n"
    ".Pp\n"
    "Inner blocks take over what outer ones say, unless they say it themselves.\n"
    "Directives that may be repeated, such as\n"
    ".Ic add_header ,\n"
    "are taken over all together, or not at all.\n"
    ".Pp\n"
    "A mistake is reported with file, line, column and the nearest known word.\n"
    ".Ql weir -t\n"
    "reads a configuration without using it,\n"
    ".Ql weir check\n"
    "says what a correct one hides.\n"
    ".Sh DIRECTIVES\n";

static const char ending[] = ".Sh SEE ALSO\n"
                             ".Xr weir 1 ,\n"
                             ".Xr weir 8\n";

/* Backslashes and quotes of roff. */
static void put_text(const char *text)
{
    for (const char *p = text; *p; p++) {
        if (*p == '\\')
            out_print(1, "\\e");
        else if (*p == '"')
            out_print(1, "\\(dq");
        else if (p == text && (*p == '.' || *p == '\''))
            out_print(1, "\\&%c", *p);
        else
            out_span(1, wr_span(p, 1));
    }
}

static void man_row(const struct conf_row *row)
{
    char places[160];
    conf_contexts_text(row->contexts, places, sizeof(places));
    out_print(1, ".It Ic %s", row->name);
    if (row->syntax && *row->syntax) {
        out_print(1, " Ar \"");
        put_text(row->syntax);
        out_print(1, "\"");
    }
    out_print(1, "%s\n", row->flags & CONF_BLOCK ? " Li { ... }" : "");
    if (row->doc) {
        put_text(row->doc);
        out_print(1, "\n");
    }
    if (row->flags & CONF_NOTE)
        out_print(1, "Accepted for nginx's sake; it has no effect here.\n");
    out_print(1, ".br\nIn: %s.\n", places);
    if (row->def) {
        out_print(1, "Default: ");
        put_text(*row->def ? row->def : "\"\"");
        out_print(1, ".\n");
    }
}

static void man_module(const struct web_module *m)
{
    const struct conf_row *row = m->conf.rows;
    if (row && row->name) {
        out_print(1, ".Ss %s\n.Bl -tag -width Ds\n", m->conf.name);
        for (; row->name; row++)
            man_row(row);
        out_print(1, ".El\n");
    }
}

static void man_names(const struct web_var *v, bool *first)
{
    for (; v && v->name; v++) {
        out_print(1, "%s.Va $%s%s", *first ? "" : " ,\n", v->name,
                  v->flags & WEB_VAR_PREFIX ? "NAME" : "");
        *first = false;
    }
}

static void man_variables(void)
{
    bool first = true;
    out_print(1, ".Sh VARIABLES\n");
    man_names(web_core_variables, &first);
    man_names(web_conn_variables, &first);
    man_names(web_field_variables, &first);
    for (int i = 0; i < WEB_MODULES; i++)
        man_names(web_modules[i]->variables, &first);
    out_print(1, " .\n");
}

static int print_man(void)
{
    out_span(1, wr_span_str(preface));
    for (int i = 0; i < WEB_MODULES; i++)
        man_module(web_modules[i]);
    man_variables();
    out_span(1, wr_span_str(ending));
    return CMD_OK;
}

static void print_row(const struct conf_row *row, const char *module)
{
    char places[160];
    conf_contexts_text(row->contexts, places, sizeof(places));
    out_print(1, "%s %s%s\n    %s\n    in %s; module %s", row->name,
              row->syntax ? row->syntax : "", row->flags & CONF_BLOCK ? " { ... }" : ";",
              row->doc ? row->doc : "", places, module);
    if (row->def)
        out_print(1, "; default: %s", *row->def ? row->def : "\"\"");
    out_print(1, "\n");
}

static void say_unknown(struct wr_span name)
{
    const struct conf_module *modules[WEB_MODULES];
    for (int i = 0; i < WEB_MODULES; i++)
        modules[i] = &web_modules[i]->conf;
    const struct conf_load load = {.modules = modules, .nmodules = WEB_MODULES};
    const char *later = conf_known(name);
    const char *near = later ? NULL : conf_nearest(&load, name, UINT32_MAX);
    if (later)
        out_print(2, "weir: \"%.*s\" belongs to %s\n", WR_SPANF(name), later);
    else if (near)
        out_print(2, "weir: no directive \"%.*s\"; did you mean \"%s\"?\n", WR_SPANF(name),
                  near);
    else
        out_print(2, "weir: no directive \"%.*s\"; `weir directives` lists all\n",
                  WR_SPANF(name));
}

int cmd_directives(int argc, char **argv)
{
    unsigned found = 0;
    if (argc == 2 && strcmp(argv[1], "--man") == 0)
        return print_man();
    if (argc > 2 || (argc == 2 && argv[1][0] == '-')) {
        out_print(2, "usage: weir directives [NAME]\n       weir directives --man\n");
        return CMD_USAGE;
    }
    for (int i = 0; i < WEB_MODULES; i++) {
        const struct conf_row *row = web_modules[i]->conf.rows;
        for (; row && row->name; row++) {
            if (argc == 2 && strcmp(row->name, argv[1]) != 0)
                continue;
            print_row(row, web_modules[i]->conf.name);
            found++;
        }
    }
    if (found || argc < 2)
        return CMD_OK;
    say_unknown(wr_span_str(argv[1]));
    return CMD_FAILED;
}
