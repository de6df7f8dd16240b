/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_HTTP_URI_H
#define WR_HTTP_URI_H

/*
 * Request targets and paths.
 *
 * wr_uri_parse cuts a target into its parts; wr_path_normalise turns a raw path into the one that
 * is matched and opened: decoded once, without dot segments. What could be read in two ways is refused.
 *
 * 1. The normalised path begins with '/', holds no NUL, no "." or ".." segment (also none that was
 *    spelled with %2e or %2f), and never leaves the root: "/../x" is refused, not clamped.
 * 2. Percent is decoded exactly once: "%252e" becomes "%2e" and stays so. "%", "%4", "%zz" are refused.
 * 3. Hosts are letters, digits, "-", "_", "~" in non-empty labels with at most one trailing dot, at most
 *    255 bytes, or an IPv6 literal in brackets. Ports are 1 to 65535 and not empty.
 */

#include "libweir/http/message.h"
#include "libweir/http/reason.h"

struct wr_host {
    struct wr_span name; /* brackets of an IPv6 literal removed */
    uint16_t port;       /* 0 when none was given */
    bool is_ip6;
};

struct wr_uri {
    enum wr_target_form form;
    struct wr_span scheme;    /* of the absolute form: as written */
    struct wr_span authority; /* host[:port] of absolute and authority form */
    struct wr_host host;
    struct wr_span path;  /* raw; "/" when an absolute form has none; empty for * and CONNECT */
    struct wr_span query; /* raw, without '?' */
    bool has_query;       /* "/x?" has an empty one */
};

/* WR_BAD_NONE, or why not. Host of the Host field: host[:port]. */
WR_MUST enum wr_reason wr_uri_parse(struct wr_span text, enum wr_method method,
                                    struct wr_uri *out);
WR_MUST int wr_host_parse(struct wr_span text, struct wr_host *out); /* 0 or WR_E_SYNTAX */

/* Same host (ASCII case folded) and same port, 0 standing for default_port. */
bool wr_host_eq(struct wr_host a, struct wr_host b, uint16_t default_port);

enum wr_path_flag {
    WR_PATH_MERGE_SLASHES = 1,
    WR_PATH_REFUSE_CONTROLS = 2, /* also decoded bytes below 0x20 and 0x7f, not NUL only */
};

/* mem must hold raw.n bytes. *out lies in mem, or is raw itself when that is already normal.
 * 0; WR_E_SYNTAX: bad percent, NUL, control, no leading '/'; WR_E_RANGE: leaves the root. */
WR_MUST int wr_path_normalise(struct wr_span raw, unsigned flags, char *mem,
                              struct wr_span *out);

/* Decodes percent (and '+' as a blank when plus) into mem[raw.n]. 0 or WR_E_SYNTAX. */
WR_MUST int wr_percent_decode(struct wr_span raw, bool plus, char *mem, struct wr_span *out);

/* Encodes what a path may not hold raw into mem[3 * path.n]. */
struct wr_span wr_path_encode(struct wr_span path, char *mem);

/* Cuts the next "name=value" off *rest, both raw; empty pieces are skipped. False at the end. */
bool wr_query_next(struct wr_span *rest, struct wr_span *out_name, struct wr_span *out_value);

/* The raw value of the first argument of that raw name; p == NULL when there is none. */
struct wr_span wr_query_get(struct wr_span query, struct wr_span name);

#endif
