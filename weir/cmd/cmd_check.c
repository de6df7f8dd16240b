/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/cmd/check.h"
#include "weir/cmd/cmd.h"
#include "weir/cmd/out.h"
#include "weir/cmd/site.h"

#include "libweir/base/num.h"
#include "libweir/os/os.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>

void check_say(struct check *c, const struct conf_node *node, uint32_t word, const char *fix,
               const char *fmt, ...)
{
    char text[1024];
    const struct conf_word *w = &node->words[word < node->nwords ? word : 0];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    c->found[c->rule->level]++;
    out_print(1, "%s:%u:%u: %s: %s [%s]\n", node->file->name, w->line, w->column,
              c->rule->level == CHECK_WARN ? "warning" : "note", text, c->rule->name);
    out_print(1, "    fix: %s\n", fix);
}

/* ---- trees ----------------------------------------------------------------------------------------------------- */

const struct conf_node *check_next(const struct conf_node *node, const char *name)
{
    while (node && !check_is(node, name))
        node = node->next;
    return node;
}

const struct conf_node *check_inside(const struct check *c, const struct conf_node *block)
{
    return block ? block->children : c->nodes;
}

const struct conf_node *check_effective(const struct check *c, const struct conf_node *block,
                                        const char *name)
{
    for (;; block = block->parent) {
        const struct conf_node *found = check_next(check_inside(c, block), name);
        if (found || !block)
            return found;
    }
}

const struct conf_node *check_around(const struct conf_node *node, const char *name)
{
    const struct conf_node *p = node->parent;
    while (p && !check_is(p, name))
        p = p->parent;
    return p;
}

/* ---- the command ------------------------------------------------------------------------------------------------- */

static void look_at_all(struct check *c, const struct conf_node *nodes)
{
    for (const struct conf_node *node = nodes; node; node = node->next) {
        c->rule->look(c, node);
        look_at_all(c, node->children);
    }
}

static void run_rules(struct check *c)
{
    for (c->rule = check_rules; c->rule->name; c->rule++) {
        if (c->rule->look)
            look_at_all(c, c->nodes);
        if (c->rule->all)
            c->rule->all(c, c->nodes);
    }
}

static unsigned read_somaxconn(void)
{
    char text[32];
    uint64_t v = 0;
    int fd = wr_os_open("/proc/sys/net/core/somaxconn", O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0)
        return 0;
    ssize_t n = wr_os_read(fd, text, sizeof(text));
    wr_os_close(fd);
    while (n > 0 && text[n - 1] == '\n')
        n--;
    return n > 0 && wr_num_parse_between(wr_span(text, (size_t)n), 0, UINT32_MAX, &v) == 0
               ? (unsigned)v
               : 0;
}

static int list_rules(void)
{
    for (const struct check_rule *r = check_rules; r->name; r++)
        out_print(1, "%-22s %-8s %s\n", r->name, r->level == CHECK_WARN ? "warning" : "note",
                  r->doc);
    return CMD_OK;
}

int cmd_check(int argc, char **argv)
{
    struct cmd_site site;
    struct opt o = {0};
    struct web_config *config;
    if (argc == 2 && strcmp(argv[1], "--rules") == 0)
        return list_rules();
    if (argc != 2 || argv[1][0] == '-') {
        out_print(2, "usage: weir check FILE\n       weir check --rules\n");
        return CMD_USAGE;
    }
    if (cmd_site_of_file(&site, &o, argv[1])) {
        out_print(2, "weir: [emerg] path too long\n");
        return CMD_FAILED;
    }
    if (web_load(wr_os_heap(), &site.source, NULL, &config))
        return CMD_FAILED;
    struct check c = {
        .load = &config->load,
        .arena = config->load.arena,
        .nodes = config->nodes,
        .somaxconn = read_somaxconn(),
    };
    run_rules(&c);
    const unsigned *n = c.found;
    out_print(2, "weir: %s: %u warning%s, %u note%s\n", site.path, n[CHECK_WARN],
              n[CHECK_WARN] == 1 ? "" : "s", n[CHECK_NOTE], n[CHECK_NOTE] == 1 ? "" : "s");
    web_config_free(&config);
    return c.found[CHECK_WARN] ? CMD_FAILED : CMD_OK;
}
