// SPDX-License-Identifier: Apache-2.0
/* flags.h - command lines as upstream's daemons take them (pflag's rules): --f=v, --f v, bare bools, -h and -v=2,
 * underscores = dashes, repeated and comma lists, maps, durations.  Each daemon has tables; this file has the rules.
 *
 *   struct options { int32_t secure_port; struct strlist controllers; int64_t period_ms; };
 *   static const struct flag misc[] = {
 *       { "secure-port", FLAG_I32, offsetof(struct options, secure_port), "10257", "The port on which to serve HTTPS." },
 *       { "controllers", FLAG_STRINGS, offsetof(struct options, controllers), "*", "A list of controllers to enable." },
 *   };
 *   struct flags *fs = flags_new("kube-controller-manager", "The Kubernetes controller manager is a daemon that ...");
 *   flags_add(fs, "Misc", misc, ARRAY_LEN(misc), &options);   // defaults are stored at once
 *   err = flags_parse(fs, argc, argv);
 *
 * One thread, at start-up.  The options own what was stored in them; flags_free() frees it all. */
#ifndef CKUBE_DAEMON_FLAGS_H
#define CKUBE_DAEMON_FLAGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/kerr.h"
#include "common/base/sbuf.h"
#include "common/base/str.h"

struct flag_pair {
    char *key, *value;
};
struct flag_map { /* in the order given; the last of equal keys wins */
    struct flag_pair *items;
    size_t len, cap;
};

enum flag_type {             /* C type at the offset       text on the command line */
    FLAG_BOOL,               /* bool                       true, false, 1, 0, t, f; alone = true */
    FLAG_STRING,             /* char *                     anything; one pair of enclosing quotes is removed */
    FLAG_I32,                /* int32_t */
    FLAG_I64,                /* int64_t */
    FLAG_FLOAT,              /* double */
    FLAG_DURATION,           /* int64_t, milliseconds      1m30s */
    FLAG_STRINGS,            /* struct strlist             a,b or repeated; the first use replaces the default */
    FLAG_STRING_ARRAY,       /* struct strlist             repeated, commas kept */
    FLAG_MAP,                /* struct flag_map            a=b,c=d or repeated */
    FLAG_BOOL_MAP,           /* struct flag_map            A=true,B=false: values checked */
    FLAG_IP,                 /* char *                     IPv4 or IPv6 address */
    FLAG_IPS,                /* struct strlist             likewise, a list */
    FLAG_CIDRS,              /* struct strlist             a.b.c.d/n, a list; checked */
    FLAG_IGNORED,            /* nothing                    accepted with any value, without effect */
    FLAG_IGNORED_BOOL,       /* nothing                    likewise, may stand alone */
};

struct flag {
    const char *name; /* with dashes */
    enum flag_type type;
    size_t offset;    /* into the options struct given to flags_add() */
    const char *def;  /* as on the command line; NULL = the zero value */
    const char *help;
    const char *deprecated; /* set: hidden from --help, a warning with this text when used */
    const char *shorthand;  /* "v" for -v; or NULL */
    /* Further check of a value; an error gets `invalid argument "v" for "--f" flag: ` in front.  Or NULL. */
    struct kerr *(*check)(const char *value);
};

/* A flag that upstream no longer has. */
struct removed_flag {
    const char *name;
    const char *release;     /* in which it went: "1.24" */
    const char *replacement; /* what to do now, a sentence part: "use --bind-address=127.0.0.1"; or NULL */
    bool ignore;             /* a pure no-op today: warn and go on */
    bool is_bool;            /* takes no separate value word */
};

struct flags;

struct flags *flags_new(const char *daemon_name, const char *about) MUST_CHECK;
void flags_free(struct flags *fs); /* and what the options structs own */
DEFINE_AUTO(flags)
/* Sections show in --help in the order added.  `table` must stay; two flags of one name abort. */
void flags_add(struct flags *fs, const char *section, const struct flag *table, size_t len, void *options);
void flags_add_removed(struct flags *fs, const struct removed_flag *table, size_t len);
/* The flags of upstream's section 7 that all daemons or this one had once. */
void flags_add_known_removed(struct flags *fs);

/* Errors are upstream's texts: `unknown flag: --x`, `flag needs an argument: --x`,
 * `invalid argument "a" for "--x" flag: ...`, plus ours about removed flags and near names. */
struct kerr *flags_parse(struct flags *fs, int argc, char *const *argv) MUST_CHECK;
const struct strlist *flags_warnings(const struct flags *fs); /* to be logged once logging is set up */

bool flags_changed(const struct flags *fs, const char *name); /* given on the command line */
/* Sets one as the command line would, for config files that map onto flags; does not count as changed. */
struct kerr *flags_set(struct flags *fs, const char *name, const char *value) MUST_CHECK;
void flags_each(const struct flags *fs, void (*fn)(const char *name, const char *value, const char *def, bool changed, void *arg), void *arg);
void flags_help(const struct flags *fs, struct sbuf *out);
void flags_values(const struct flags *fs, struct sbuf *out); /* --name="value" lines, secrets' values are paths anyway */

const char *flag_map_get(const struct flag_map *m, const char *key); /* NULL = absent */
bool flag_map_bool(const struct flag_map *m, const char *key, bool fallback);

#endif
