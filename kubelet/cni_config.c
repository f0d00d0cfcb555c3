// SPDX-License-Identifier: Apache-2.0
#include "kubelet/cni_config.h"

#include <dirent.h>
#include <fcntl.h>

#include "common/base/file.h"
#include "common/base/klog.h"

#define FILE_NAME "10-ckube.conflist"

void
cni_config_text(const struct strlist *cidrs, struct sbuf *out)
{
    bool v4 = false, v6 = false;

    sbuf_adds(out, "{\n"
                   "  \"cniVersion\": \"1.0.0\",\n"
                   "  \"name\": \"ckube\",\n"
                   "  \"plugins\": [\n"
                   "    {\n"
                   "      \"type\": \"bridge\",\n"
                   "      \"bridge\": \"cni0\",\n"
                   "      \"isGateway\": true,\n"
                   "      \"forceAddress\": true,\n" /* a node that was deleted registers again and may get another range */
                   "      \"hairpinMode\": true,\n"
                   "      \"ipMasq\": false,\n"
                   "      \"ipam\": {\n"
                   "        \"type\": \"host-local\",\n"
                   "        \"ranges\": [");
    for (size_t i = 0; i < cidrs->len; i++) {
        sbuf_addf(out, "%s[{ \"subnet\": \"%s\" }]", i ? ", " : "", cidrs->items[i]);
        if (strchr(cidrs->items[i], ':'))
            v6 = true;
        else
            v4 = true;
    }
    sbuf_adds(out, "],\n        \"routes\": [");
    if (v4)
        sbuf_adds(out, "{ \"dst\": \"0.0.0.0/0\" }");
    if (v6)
        sbuf_addf(out, "%s{ \"dst\": \"::/0\" }", v4 ? ", " : "");
    sbuf_adds(out, "]\n"
                   "      }\n"
                   "    },\n"
                   "    { \"type\": \"portmap\", \"capabilities\": { \"portMappings\": true } }\n"
                   "  ]\n"
                   "}\n");
}

static bool
is_config(const char *name)
{
    return str_has_suffix(name, ".conf") || str_has_suffix(name, ".conflist") || str_has_suffix(name, ".json");
}

static char *
other_config(const char *dir)
{
    DIR *d = opendir(dir);
    struct dirent *e;
    char *found = NULL;

    while (d && (e = readdir(d)) && !found)
        if (is_config(e->d_name) && strcmp(e->d_name, FILE_NAME) != 0)
            found = xstrdup(e->d_name);
    if (d)
        closedir(d);
    return found;
}

/* What pods on a bridge need of the kernel. */
static void
set_sysctl(const char *path, const char *value)
{
    AUTO_FD int fd = open(path, O_WRONLY | O_CLOEXEC);

    if (fd >= 0 && write(fd, value, strlen(value)) < 0)
        log_warning("A kernel setting for the pod network cannot be made; pods may not reach each other", "path", path);
}

struct kerr *
cni_config_write(const char *dir, const char *mode, const struct strlist *cidrs)
{
    AUTO_FREE char *path = path_join(dir, FILE_NAME);
    AUTO_FREE char *other = NULL, *now = NULL;
    AUTO_SBUF text = { 0 };
    struct kerr *err;

    if (!cidrs->len || !strcmp(mode, "never"))
        return NULL;
    other = strcmp(mode, "always") != 0 ? other_config(dir) : NULL;
    if (other) {
        log_v(2, "The pod network is somebody else's", "dir", dir, "file", other);
        return NULL;
    }
    set_sysctl("/proc/sys/net/ipv4/ip_forward", "1");
    set_sysctl("/proc/sys/net/bridge/bridge-nf-call-iptables", "1");
    cni_config_text(cidrs, &text);
    err = file_read(path, 65536, &now, NULL);
    kerr_free(err);
    if (now && !strcmp(now, sbuf_str(&text)))
        return NULL;
    err = file_mkdirs(dir, 0755);
    if (!err)
        err = file_write_atomic(path, sbuf_str(&text), text.len, 0644);
    if (!err)
        log_info("Wrote the CNI configuration", "path", path, "podCIDR", cidrs->items[0]);
    return err;
}
