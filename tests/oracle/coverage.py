"""Which directives and variables of weir's own tables are in no case of the oracle, and which cannot be.

Whoever adds a row adds it to a case, or a line here that names the test it has instead: without() and missing() read
statements as the grammar has them, so a name in a comment or an argument does not count.
"""
import os, re, subprocess

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# Not in the oracle, because its nginx (1.22) does not know them, or weir does it in its own way: the test that has them.
WITHOUT = {
    "add_header_inherit": "tests/wire/test_headers.py",
    "add_trailer": "tests/wire/test_headers.py",
    "add_trailer_inherit": "tests/wire/test_headers.py",
    "admin": "tests/wire/test_watch.py",
    "aio_write": "tests/wire/test_output.py",
    "brotli": "tests/wire/test_newer.py",
    "brotli_buffers": "tests/wire/test_newer.py",
    "brotli_comp_level": "tests/wire/test_newer.py",
    "brotli_min_length": "tests/wire/test_newer.py",
    "brotli_static": "tests/wire/test_newer.py",
    "brotli_types": "tests/wire/test_newer.py",
    "brotli_window": "tests/wire/test_newer.py",
    "connections": "tests/wire/test_newer.py",
    "early_hints": "tests/wire/test_newer.py",
    "hot_file_cache": "tests/wire/test_fresh.py",
    "keepalive_min_timeout": "tests/wire/test_newer.py",
    "max_headers": "tests/wire/test_newer.py",
    "output_buffers": "tests/wire/test_output.py",
    "postmortem_path": "tests/wire/test_newer.py",
    "postpone_output": "tests/wire/test_output.py",
    "read_ahead": "tests/wire/test_output.py",
    "sandbox": "tests/wire/test_sandbox.py",
    "sandbox_read": "tests/wire/test_sandbox.py",
    "sandbox_write": "tests/wire/test_sandbox.py",
    "ssl_certificate_cache": "tests/wire/test_named_certs.py",
    "ssl_certificate_compression": "tests/wire/test_newer.py",
    "ssl_ech_file": "tests/wire/test_newer.py",
    "ssl_stapling_responder": "tests/wire/test_staple.py",
    "ssl_stapling_verify": "tests/wire/test_staple.py",
    "worker_memory": "tests/wire/test_memory.py",
    "worker_watchdog": "tests/wire/test_watch.py",
    "zstd": "tests/wire/test_newer.py",
    "zstd_buffers": "tests/wire/test_newer.py",
    "zstd_comp_level": "tests/wire/test_newer.py",
    "zstd_min_length": "tests/wire/test_newer.py",
    "zstd_static": "tests/wire/test_newer.py",
    "zstd_types": "tests/wire/test_newer.py",
    "$is_request_port": "tests/wire/test_newer.py",
    "$proxy_protocol_tlv_": "tests/wire/test_newer.py",
    "$request_port": "tests/wire/test_newer.py",
    "$ssl_client_sigalg": "tests/wire/test_newer.py",
    "$ssl_ech_outer_server_name": "tests/wire/test_newer.py",
    "$ssl_ech_status": "tests/wire/test_newer.py",
    "$ssl_sigalg": "tests/wire/test_newer.py",
    "$trailer_": "tests/wire/test_newer.py",
    "load_module": "tests/wire/test_newer.py",
    "ssl_engine": "tests/wire/test_newer.py",
}

# Rows of which no client, log or process table shows a thing, in nginx as here. (What weir accepts without effect says so itself.)
NO_EFFECT = {
    "aio": "who opens and reads files; tests/wire/test_output.py and test_directio.py look at it",
    "client_body_in_single_buffer": "how the body lies in memory",
    "daemon": "this harness needs it off; tests/wire/test_master.py has it",
    "gunzip_buffers": "sizes of buffers",
    "gzip_buffers": "sizes of buffers",
    "gzip_comp_level": "the content is compared, not how hard it was squeezed",
    "gzip_hash": "memory of the compressor",
    "gzip_no_buffer": "when compressed bytes go on",
    "gzip_window": "memory of the compressor",
    "map_hash_bucket_size": "size of a table",
    "open_file_cache_min_uses": "which files stay open",
    "open_file_cache_valid": "when an open file is looked at again; weir sees a change at once: tests/wire/test_fresh.py",
    "open_log_file_cache": "how often a file is opened; tests/wire/test_logs.py has it",
    "override_charset": "for answers of other servers",
    "pcre_jit": "how fast patterns are",
    "postpone_gzipping": "when compressed bytes go on",
    "resolver": "names are asked for by OCSP only; tests/wire/test_staple.py has it",
    "resolver_timeout": "names are asked for by OCSP only",
    "ssl_buffer_size": "size of records",
    "subrequest_output_buffer_size": "for answers that are kept in memory: of SSI and the like",
    "tcp_nodelay": "when packets go out",
}


def noted(weir):
    """Rows whose manual says that they have no effect."""
    page = subprocess.run([weir, "directives", "--man"], capture_output=True, text=True, check=True).stdout
    return {row.split()[0] for row in page.split(".It Ic ")[1:] if "it has no effect here" in row}


def known(weir):
    """Names of all rows, variables with a $, prefixes of variables with a _ at their end."""
    rows = subprocess.run([weir, "directives"], capture_output=True, text=True, check=True).stdout
    page = subprocess.run([weir, "directives", "--man"], capture_output=True, text=True, check=True).stdout
    names = {line.split()[0].rstrip(";") for line in rows.splitlines() if line[:1] not in ("", " ")}
    variables = set(re.findall(r"\.Va (\$[a-z0-9_]+)", page))
    return sorted(names) + sorted(variables)


def statements(text):
    """(name, begin, end) of each: a block ends behind its brace."""
    token = re.compile(r"""\s+|\#[^\n]*|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[;{}]|(?:\\.|\$\{|[^\s;{}])+""", re.S)
    out, open_blocks, first, begin = [], [], None, 0
    for m in token.finditer(text):
        word = m.group(0)
        if word[0].isspace() or word[0] == "#":
            continue
        if word == "}":
            if open_blocks:
                name, at = open_blocks.pop()
                out.append((name, at, m.end()))
            first = None
        elif word in ";{":
            if word == ";" and first is not None:
                out.append((first, begin, m.end()))
            elif word == "{":
                open_blocks.append((first, begin))
            first = None
        elif first is None:
            first, begin = word, m.start()
    return out


def uses(text, what):
    if what[0] != "$":
        return any(name == what for name, _, _ in statements(text))
    bare = re.sub(r"(?m)#.*$", "", text)
    return re.search(r"\$\{?%s%s" % (re.escape(what[1:]), "[a-z0-9_]" if what.endswith("_") else r"(?![a-z0-9_])"), bare) is not None


def without(text, what):
    """The texts that differ in that one thing: all of it taken out first, then each alone."""
    if not uses(text, what):
        return
    if what[0] == "$":
        yield re.sub(r"\$\{?%s%s\}?" % (re.escape(what[1:]), "[a-z0-9_]+" if what.endswith("_") else r"(?![a-z0-9_])"), "gone", text)
        return
    spans = [(a, b) for name, a, b in statements(text) if name == what]
    outer = [s for s in spans if not any(o[0] < s[0] and s[1] < o[1] for o in spans)]
    for a, b in sorted(outer, reverse=True):
        text = text[:a] + text[b:]
    yield text


def missing(weir, confs):
    """One line for each name without a case, and for each line above that has become untrue."""
    out, names = [], known(weir)
    for name in names:
        there = any(uses(text, name) for text in confs)
        if name in WITHOUT:
            test = WITHOUT[name].split(":")[0]
            with open(os.path.join(TOP, test), encoding="utf-8") as f:
                if name.strip("$") not in f.read():
                    out.append("%s: %s does not have it" % (name, test))
        elif not there:
            out.append("%s: in no case" % name)
    out += ["%s: not a row of weir's any more" % name for name in [*WITHOUT, *NO_EFFECT] if name not in names]
    return out
