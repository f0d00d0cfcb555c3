// SPDX-License-Identifier: Apache-2.0
#include "apiserver/admission/admission.h"

#include <string.h>

#include "apiserver/admission/plugins.h"
#include "common/base/klog.h"

enum { PLUGINS_MAX = 64 };

static const struct admission_plugin *active[PLUGINS_MAX];
static size_t nactive;

static bool
not_served(const char *name)
{
    for (size_t i = 0; admission_names_not_served[i]; i++)
        if (strcmp(admission_names_not_served[i], name) == 0)
            return true;
    return false;
}

static bool
known(const char *name)
{
    for (size_t i = 0; i < admission_plugins_len; i++)
        if (strcmp(admission_plugins[i]->name, name) == 0)
            return true;
    return not_served(name);
}

static struct kerr *
check_names(const char *flag, const struct strlist *names)
{
    for (size_t i = 0; i < names->len; i++)
        if (!known(names->items[i]))
            return kerr_new(KERR_BAD_REQUEST, "--%s: unknown admission plugin \"%s\"", flag, names->items[i]);
    return NULL;
}

struct kerr *
admission_start(struct apiserver *srv)
{
    const struct apiserver_options *o = srv->options;
    struct kerr *err = check_names("enable-admission-plugins", &o->enable_admission);

    if (!err)
        err = check_names("disable-admission-plugins", &o->disable_admission);
    for (size_t i = 0; !err && i < o->enable_admission.len; i++)
        if (not_served(o->enable_admission.items[i]))
            log_warning("Admission plugin is not part of this release and does nothing", "plugin", o->enable_admission.items[i]);
    nactive = 0;
    for (size_t i = 0; !err && i < admission_plugins_len; i++) {
        const struct admission_plugin *p = admission_plugins[i];
        bool on = (p->on_by_default || strlist_has(&o->enable_admission, p->name)) && !strlist_has(&o->disable_admission, p->name);
        if (on && nactive < PLUGINS_MAX)
            active[nactive++] = p;
    }
    return err;
}

struct kerr *
admission_mutate(const struct write_context *c, enum admission_operation op, struct object *obj, const struct object *old)
{
    struct kerr *err = NULL;

    for (size_t i = 0; !err && i < nactive; i++)
        if (active[i]->mutate && (active[i]->operations & op))
            err = active[i]->mutate(c, op, obj, old);
    return err;
}

struct kerr *
admission_validate(const struct write_context *c, enum admission_operation op, const struct object *obj, const struct object *old)
{
    struct kerr *err = NULL;

    for (size_t i = 0; !err && i < nactive; i++)
        if (active[i]->validate && (active[i]->operations & op))
            err = active[i]->validate(c, op, obj, old);
    return err;
}
