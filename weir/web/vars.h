/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WEB_VARS_H
#define WEB_VARS_H

/*
 * The variables and patterns of one generation: what the site does with them, and what variable.c, value.c and
 * regex.c share.
 *
 * web_vars_new enters the rows of all modules; while directives are applied, names that are used get an
 * index, names that are defined (set, map, a named capture) get a row. When all scopes have been settled,
 * web_vars_ready joins the two: an index without a row is the mistake `unknown "x" variable`.
 *
 * 1. A name has one row; a later definition takes the place of a WEB_VAR_CHANGEABLE one only.
 * 2. An exact name wins over a prefix, the longest prefix over shorter ones.
 * 3. Values are per request and shared by its subrequests and internal redirects; nothing is allocated
 *    until the first variable is asked for, and then one array.
 * 4. What matching needs (match data, JIT stack) is made once in the process that first matches.
 *
 * Owner: the generation (web_generation.vars), in whose arena all of it lies. The site makes it before it
 * applies the first directive.
 */

#include "weir/web/site.h"

#define WEB_NGINX_VERSION "1.31.0" /* whose behaviour is ours; what scripts compare with */

struct web_vars; /* opaque */

/* ---- for the site ------------------------------------------------------------------------------------- */

WR_MUST int web_vars_new(struct conf_load *load, struct web_vars **out);
/* The one that web_vars_new made for this load. The site's: site.c. */
struct web_vars *web_vars_of(const struct conf_load *load);
/* After conf_scope_settle, before modules' `ready`; sets nvars. jit: pcre_jit. */
WR_MUST int web_vars_ready(struct conf_load *load, struct web_vars *vars, bool jit);

/* A pattern without a request, for server_name while no server is known: 1, 0, negative. */
int web_regex_test(const struct web_regex *re, struct wr_span subject);

/* For `explain`: the names that are used, by index. p == NULL beyond the last. */
struct wr_span web_var_name(const struct web_vars *vars, uint32_t index);

/* ---- for modules that define variables ------------------------------------------------------------------ */

/* The row of a name, or NULL; prefixes are not looked at. */
const struct web_var *web_var_find(const struct conf_load *load, struct wr_span name);
/* Lookup that never finds anything: of variables that only `set` or a match can give a value. */
int web_var_none(struct web_req *r, const struct web_var *v, struct wr_span rest,
                 struct web_val *out);
/* Forgets a value, so that it is looked up again. */
void web_var_forget(struct web_req *r, uint32_t index);

/* As web_value_eval, but a value that is one variable or constant is lent, and no NUL is promised. */
WR_MUST int web_value_peek(struct web_req *r, const struct web_value *v, struct wr_span *out);
/* As web_value_eval, captures ($1) escaped as arguments when the request's own URI was: rewrite. */
WR_MUST int web_value_eval_quoted(struct web_req *r, const struct web_value *v,
                                  struct wr_span *out);
/* Does it use captures? */
bool web_value_captures(const struct web_value *v);

/* The value of the client's cookie of that name. */
bool web_cookie(const struct web_req *r, struct wr_span name, struct wr_span *out);

/* Values for `get` functions: lent text; formatted text in r's arena. */
int web_val_set(struct web_val *out, struct wr_span text);
WR_PRINTF(3, 4)
int web_val_printf(struct web_req *r, struct web_val *out, const char *fmt, ...);

/* Groups of a pattern: 0 is all of it. */
uint32_t web_regex_groups(const struct web_regex *re);

/* An arena in the guise of a heap, for tables that live as long as it does. */
void web_arena_heap(struct wr_arena *arena, struct wr_heap *out);

/* ---- between variable.c, regex.c and core_vars.c ------------------------------------------------------ */

extern const struct web_var web_core_variables[];  /* core_vars.c: the request and its answer */
extern const struct web_var web_conn_variables[];  /* conn_vars.c: connection, machine, time */
extern const struct web_var web_field_variables[]; /* field_vars.c: names that begin with ... */

#define WEB_LOCAL_TIME_MAX 48
struct web_local_time { /* the texts of one second */
    int64_t s;
    uint8_t iso_n, log_n;
    char iso[WEB_LOCAL_TIME_MAX], log[WEB_LOCAL_TIME_MAX];
};
/* As the access log writes them, too. */
const struct web_local_time *web_local_time(struct web_vars *vars, int64_t s);
struct web_local_time *web_vars_time(struct web_vars *vars);
struct wr_span web_vars_hostname(const struct web_vars *vars);

struct web_regex_state;
struct web_regex_state *web_vars_regex(struct web_vars *vars);
WR_MUST int web_regex_state_new(struct wr_arena *arena, struct web_regex_state **out);
/* All patterns are known: compiles them to machine code when jit. */
void web_regex_state_ready(struct web_regex_state *state, bool jit);
uint32_t web_regex_most_groups(const struct web_regex_state *state);

#endif
