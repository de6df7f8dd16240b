/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/cmd/check.h"

#include "libweir/base/num.h"
#include "libweir/os/os.h"
#include "weir/cmd/check_site.h"

#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

/* ---- lists that an inner block replaces whole ------------------------------------------------------------------ */

static bool has_value(const struct conf_node *node, const char *name, struct wr_span value)
{
    for (; (node = check_next(node, name)); node = node->next)
        if (wr_span_ieq(check_arg(node, 1), value))
            return true;
    return false;
}

static bool merges(const struct check *c, const struct conf_node *block, const char *name)
{
    const char *how = wr_arena_printf(c->arena, "%s_inherit", name);
    const struct conf_node *node = how ? check_effective(c, block, how) : NULL;
    return node && wr_span_eq(check_arg(node, 1), WR_LIT("merge"));
}

/* The first of its name in its block, where an outer block has others: those are lost. */
static void look_lost(struct check *c, const struct conf_node *node, const char *name)
{
    const struct conf_node *block = node->parent, *outer;
    if (!check_is(node, name) || !block || check_next(block->children, name) != node ||
        merges(c, block, name))
        return;
    for (outer = block->parent; outer; outer = outer->parent)
        if (check_next(outer->children, name))
            break;
    if (!outer)
        return;
    for (const struct conf_node *o = outer->children; (o = check_next(o, name)); o = o->next)
        if (!has_value(block->children, name, check_arg(o, 1)))
            check_say(c, node, 0,
                      wr_arena_printf(c->arena, "write `%s %.*s ...;` here too", name,
                                      WR_SPANF(check_arg(o, 1))),
                      "this %s takes away \"%.*s\" of %s:%u: an inner block has all of them "
                      "or none",
                      name, WR_SPANF(check_arg(o, 1)), o->file->name, o->line);
}

static void lost_header(struct check *c, const struct conf_node *node)
{
    look_lost(c, node, "add_header");
    look_lost(c, node, "add_trailer");
}

static void lost_error_page(struct check *c, const struct conf_node *node)
{
    look_lost(c, node, "error_page");
}

/* ---- if --------------------------------------------------------------------------------------------------------- */

static void if_in_location(struct check *c, const struct conf_node *node)
{
    static const char *const safe[] = {"return", "rewrite", "set", "break"};
    if (!node->parent || !check_is(node->parent, "if") ||
        !check_around(node->parent, "location"))
        return;
    for (size_t i = 0; i < WR_ARRAY_LEN(safe); i++)
        if (check_is(node, safe[i]))
            return;
    check_say(c, node, 0,
              "use a map and its variable, or a location of its own reached by rewrite",
              "\"%s\" inside `if` of a location: the block replaces the location's settings "
              "whenever the condition holds",
              conf_str(node, 0));
}

/* ---- timers -------------------------------------------------------------------------------------------------------- */

static void endless_timer(struct check *c, const struct conf_node *node)
{
    static const struct {
        const char *name;
        uint64_t most_ms;
    } timers[] = {
        {"client_header_timeout",   600000  },
        {"client_body_timeout",     3600000 },
        {"send_timeout",            3600000 },
        {"keepalive_timeout",       3600000 },
        {"lingering_timeout",       600000  },
        {"resolver_timeout",        300000  },
        {"worker_shutdown_timeout", 86400000},
    };
    for (size_t i = 0; i < WR_ARRAY_LEN(timers); i++) {
        uint64_t ms = 0;
        if (!check_is(node, timers[i].name))
            continue;
        bool off = conf_read_msec(check_arg(node, 1), &ms) != 0;
        bool may_be_zero = i == 3; /* keepalive_timeout 0: no keep-alive at all */
        if (!off && ms <= timers[i].most_ms && (ms || may_be_zero))
            return;
        check_say(c, node, 1, "a number of seconds that a patient person would wait",
                  off || !ms ? "%s %.*s: nothing ends a connection that stands still"
                             : "%s %.*s: a connection that stands still is kept that long",
                  timers[i].name, WR_SPANF(check_arg(node, 1)));
    }
}

/* ---- paths ----------------------------------------------------------------------------------------------------------- */

/* The path of a location given by a prefix, or an empty span. */
static struct wr_span prefix_of(const struct conf_node *location)
{
    struct wr_span a = check_arg(location, 1);
    if (location->nwords == 3 && (a.p[0] == '=' || wr_span_eq(a, WR_LIT("^~"))))
        return check_arg(location, 2);
    return location->nwords == 2 && a.n && a.p[0] == '/' ? a : WR_LIT("");
}

static void alias_slash(struct check *c, const struct conf_node *node)
{
    if (!check_is(node, "alias") || !node->parent || !check_is(node->parent, "location"))
        return;
    struct wr_span place = prefix_of(node->parent), path = check_arg(node, 1);
    bool exact = wr_span_eq(check_arg(node->parent, 1), WR_LIT("="));
    if (!place.n || !path.n || exact || wr_span_find_char(path, '$') >= 0)
        return;
    bool a = wr_span_has_suffix(place, WR_LIT("/")), b = wr_span_has_suffix(path, WR_LIT("/"));
    if (a == b)
        return;
    check_say(c, node, 1,
              a ? wr_arena_printf(c->arena, "alias %.*s/;", WR_SPANF(path))
                : wr_arena_printf(c->arena, "location %.*s/ { ... }", WR_SPANF(place)),
              a ? "the location \"%.*s\" ends with a slash, its alias does not: %.*s and the "
                  "file's name grow together"
                : "the location \"%.*s\" has no slash at its end, its alias \"%.*s\" has one: "
                  "a request with ../ behind the prefix leaves the directory",
              WR_SPANF(place), WR_SPANF(path));
}

static void root_in_location(struct check *c, const struct conf_node *node)
{
    const struct conf_node *server = check_around(node, "server");
    if (!check_is(node, "root") || !node->parent || !check_is(node->parent, "location") ||
        !server || check_effective(c, server, "root"))
        return;
    check_say(c, node, 0, "write the root in the server, and only other ones in locations",
              "root is given in a location, and the server around it has none: requests for "
              "other locations look below the prefix, in html");
}

static void try_files_end(struct check *c, const struct conf_node *node)
{
    if (!check_is(node, "try_files") || node->nwords < 3)
        return;
    uint32_t last = node->nwords - 1;
    struct wr_span end = conf_arg(node, last);
    const struct conf_node *server = check_around(node, "server");
    if (end.p[0] == '=')
        return;
    if (end.p[0] == '@') {
        for (const struct conf_node *l = server ? server->children : NULL;
             (l = check_next(l, "location")); l = l->next)
            if (wr_span_eq(check_arg(l, 1), end))
                return;
        check_say(c, node, last, "define it in the same server",
                  "try_files ends at %.*s, and the server has no such location", WR_SPANF(end));
    } else if (wr_span_has_prefix(end, WR_LIT("$uri")) ||
               wr_span_has_prefix(end, WR_LIT("$request_uri"))) {
        check_say(
            c, node, last,
            wr_arena_printf(c->arena, "end with =404: try_files ... %.*s =404;", WR_SPANF(end)),
            "the last word of try_files is no file to try but where to go: %.*s leads "
            "here again until the redirects are used up (500)",
            WR_SPANF(end));
    }
}

static void readable_key(struct check *c, const struct conf_node *node)
{
    struct stat st;
    struct wr_span path, word = check_arg(node, 1);
    if ((!check_is(node, "ssl_certificate_key") && !check_is(node, "ssl_password_file") &&
         !check_is(node, "ssl_session_ticket_key")) ||
        wr_span_find_char(word, '$') >= 0 || wr_span_find_char(word, ':') >= 0 ||
        conf_path(c->load, word, &path) || wr_os_stat(path.p, &st))
        return;
    if (st.st_mode & S_IROTH)
        check_say(c, node, 1, wr_arena_printf(c->arena, "chmod 600 %s", path.p),
                  "everybody on this machine can read \"%s\"", path.p);
}

static void log_named_off(struct check *c, const struct conf_node *node)
{
    if (check_is(node, "error_log") && wr_span_eq(check_arg(node, 1), WR_LIT("off")))
        check_say(c, node, 1, "error_log /dev/null crit;, or better a file",
                  "error_log has no \"off\": this writes to a file of that name");
}

/* ---- locations and patterns ------------------------------------------------------------------------------------------- */

static bool is_pattern(const struct conf_node *location)
{
    struct wr_span a = check_arg(location, 1);
    return a.n && a.p[0] == '~';
}

static struct wr_span pattern_of(const struct conf_node *location)
{
    struct wr_span a = check_arg(location, 1);
    if (location->nwords == 3)
        return check_arg(location, 2);
    return wr_span_sub(a, a.n > 1 && a.p[1] == '*' ? 2 : 1, SIZE_MAX);
}

static bool takes_all(struct wr_span pattern)
{
    static const char *const all[] = {"",  "/", "^/",   ".*",    "^.*$", "^.*",
                                      ".", "^", "^/.*", "^/.*$", "/.*"};
    for (size_t i = 0; i < WR_ARRAY_LEN(all); i++)
        if (wr_span_eq(pattern, wr_span_str(all[i])))
            return true;
    return false;
}

static void unreached_pattern(struct check *c, const struct conf_node *node)
{
    if (!check_is(node, "location") || !is_pattern(node))
        return;
    const struct conf_node *l = check_inside(c, node->parent);
    for (; (l = check_next(l, "location")) && l != node; l = l->next) {
        bool same = is_pattern(l) && wr_span_eq(pattern_of(l), pattern_of(node)) &&
                    wr_span_eq(check_arg(l, 1), check_arg(node, 1));
        if (!is_pattern(l) || !(same || takes_all(pattern_of(l))))
            continue;
        check_say(c, node, node->nwords - 1, "put the more special pattern first",
                  "this location is never chosen: patterns are tried in the order of the "
                  "file, and \"%.*s\" in line %u takes all that it would",
                  WR_SPANF(pattern_of(l)), l->line);
        return;
    }
    for (l = check_inside(c, node->parent); (l = check_next(l, "location")); l = l->next) {
        if (!wr_span_eq(check_arg(l, 1), WR_LIT("^~")) ||
            !wr_span_eq(check_arg(l, 2), WR_LIT("/")))
            continue;
        check_say(c, node, node->nwords - 1, "write `location /` without ^~",
                  "this location is never chosen: `location ^~ /` in line %u keeps all "
                  "patterns from being tried",
                  l->line);
        return;
    }
}

static void bare_dot(struct check *c, const struct conf_node *node)
{
    if (!check_is(node, "location") || !is_pattern(node))
        return;
    struct wr_span p = pattern_of(node);
    if (p.n < 3 || p.p[0] != '.' || !wr_span_has_suffix(p, WR_LIT("$")))
        return;
    for (size_t i = 1; i + 1 < p.n; i++)
        if (!((p.p[i] >= 'a' && p.p[i] <= 'z') || (p.p[i] >= '0' && p.p[i] <= '9')))
            return;
    check_say(c, node, node->nwords - 1, wr_arena_printf(c->arena, "\\%.*s", WR_SPANF(p)),
              "the dot of \"%.*s\" stands for any character", WR_SPANF(p));
}

static void decoded_redirect(struct check *c, const struct conf_node *node)
{
    if (!check_is(node, "return"))
        return;
    struct wr_span to = check_arg(node, node->nwords - 1);
    if (wr_span_find(to, WR_LIT("$uri")) < 0 && wr_span_find(to, WR_LIT("$document_uri")) < 0)
        return;
    uint64_t status = 302;
    if (node->nwords == 3 && wr_num_parse_u64(check_arg(node, 1), &status))
        return;
    if (status >= 301 && status <= 308)
        check_say(c, node, node->nwords - 1, "$request_uri, which is as the client sent it",
                  "$uri is decoded: in a redirect an encoded line end becomes a real one and "
                  "may add fields to the answer");
}

static void allow_alone(struct check *c, const struct conf_node *node)
{
    if (!check_is(node, "allow") || check_next(check_inside(c, node->parent), "deny") ||
        check_next(check_inside(c, node->parent), "allow") != node)
        return;
    check_say(c, node, 0, "deny all; behind it",
              "allow without deny: who matches no rule is let in too");
}

/* ---- what is accepted, and defaults ------------------------------------------------------------------------------------ */

static const struct conf_row *row_of(const struct check *c, const struct conf_node *node)
{
    return conf_row_find(c->load, conf_arg(node, 0), UINT32_MAX, NULL);
}

static void no_effect(struct check *c, const struct conf_node *node)
{
    const struct conf_row *row = row_of(c, node);
    const struct conf_node *around = node->parent;
    for (; around; around = around->parent)
        if (check_is(around, "types") || check_is(around, "map") || check_is(around, "geo") ||
            check_is(around, "split_clients") || check_is(around, "charset_map"))
            return;
    if (row && (row->flags & CONF_NOTE))
        check_say(c, node, 0, "take it out, or leave it for nginx",
                  "\"%s\" is accepted and has no effect in weir", row->name);
}

static void swallowed(struct check *c, const struct conf_node *node)
{
    const struct conf_row *row = row_of(c, node);
    if (!row || (row->max != CONF_MANY && row->max < 3))
        return;
    for (uint32_t i = 1; i < node->nwords; i++) {
        const struct conf_word *w = &node->words[i];
        if (w->line == w[-1].line || w->quoted ||
            !conf_row_find(c->load, w->text, UINT32_MAX, NULL))
            continue;
        check_say(c, node, i, "a semicolon at the end of the line before",
                  "\"%.*s\" is taken as a word of \"%s\" in line %u, whose line does not end",
                  WR_SPANF(w->text), row->name, node->words[0].line);
        return;
    }
}

static void few_descriptors(struct check *c, const struct conf_node *node)
{
    struct rlimit now;
    int64_t want, limit;
    if (!check_is(node, "worker_connections") || conf_read_num(check_arg(node, 1), &want))
        return;
    const struct conf_node *given = check_next(c->nodes, "worker_rlimit_nofile");
    if (given ? conf_read_num(check_arg(given, 1), &limit) != 0
              : wr_os_rlimit_get(RLIMIT_NOFILE, &now) != 0)
        return;
    if (!given)
        limit = now.rlim_max > INT32_MAX ? INT32_MAX : (int64_t)now.rlim_max;
    if (want > limit)
        check_say(c, node, 1,
                  wr_arena_printf(c->arena, "worker_rlimit_nofile %lld;", (long long)want + 64),
                  "a worker may open %lld files, and is told to have %lld connections",
                  (long long)limit, (long long)want);
}

static void tokens(struct check *c, const struct conf_node *nodes)
{
    const struct conf_node *http = check_next(nodes, "http");
    if (http && !check_next(http->children, "server_tokens"))
        check_say(c, http, 0, "server_tokens off;",
                  "answers and error pages name the server's version");
}

/* ---- the table --------------------------------------------------------------------------------------------------------- */

const struct check_rule check_rules[] = {
    {"lost-header",        CHECK_WARN,
     "add_header in an inner block takes away those of the outer ones.",                           lost_header,      NULL  },
    {"lost-error-page",    CHECK_WARN,
     "error_page in an inner block takes away those of the outer ones.",                           lost_error_page,  NULL  },
    {"if-in-location",     CHECK_WARN,
     "`if` in a location with more than return, rewrite, set and break.",                          if_in_location,   NULL  },
    {"same-name",          CHECK_WARN, "Two servers on one address with one name.",                NULL,
     check_same_names                                                                                                      },
    {"no-default-server",  CHECK_NOTE,
     "Several servers on one address, and none is called its default.",                            NULL,
     check_default_server                                                                                                  },
    {"listen-ssl",         CHECK_WARN, "Port 443 without ssl.",                                    check_listen_ssl, NULL  },
    {"backlog",            CHECK_WARN, "A backlog that the kernel cuts.",                          check_backlog,    NULL  },
    {"unreached-location", CHECK_WARN, "A pattern behind one that takes all.",
     unreached_pattern,                                                                                              NULL  },
    {"bare-dot",           CHECK_WARN, "A pattern like .php$, whose dot is any character.",        bare_dot,
     NULL                                                                                                                  },
    {"endless-timer",      CHECK_WARN, "A timer that is off or too long.",                         endless_timer,    NULL  },
    {"alias-slash",        CHECK_WARN, "alias and location disagree about the slash at the end.",
     alias_slash,                                                                                                    NULL  },
    {"root-in-location",   CHECK_WARN, "root in locations, and none in the server.",
     root_in_location,                                                                                               NULL  },
    {"try-files-end",      CHECK_WARN, "try_files whose last word leads nowhere, or in a circle.",
     try_files_end,                                                                                                  NULL  },
    {"decoded-redirect",   CHECK_WARN, "return with $uri in a redirect.",                          decoded_redirect, NULL  },
    {"allow-alone",        CHECK_WARN, "allow without deny.",                                      allow_alone,      NULL  },
    {"readable-key",       CHECK_WARN, "A private key that everybody can read.",                   readable_key,     NULL  },
    {"log-named-off",      CHECK_WARN, "error_log off.",                                           log_named_off,    NULL  },
    {"swallowed",          CHECK_WARN, "A directive that became words of the one before it.",      swallowed,
     NULL                                                                                                                  },
    {"few-descriptors",    CHECK_WARN, "More worker_connections than files may be open.",
     few_descriptors,                                                                                                NULL  },
    {"no-effect",          CHECK_NOTE, "A directive that is accepted and has no effect.",          no_effect,
     NULL                                                                                                                  },
    {"server-tokens",      CHECK_NOTE, "The version is told to everybody.",                        NULL,             tokens},
    {NULL,                 CHECK_NOTE, NULL,                                                       NULL,             NULL  },
};
