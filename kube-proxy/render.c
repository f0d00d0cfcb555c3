// SPDX-License-Identifier: Apache-2.0
#include "kube-proxy/render.h"

#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/str.h"
#include "kube-proxy/nft_backend.h"
#include "kube-proxy/object_file.h"

#define FILE_MAX ((size_t)256 << 20)
#define NETS_MAX 16

struct render {
    struct picture_node node;
    struct ip_net nets[NETS_MAX];
    size_t nnets;
    bool masquerade_all, apply, cleanup, times;
    uint64_t last_us;
    struct strlist first, then;
};

static struct kerr *
usage(const char *why, const char *what)
{
    return kerr_new(KERR_BAD_REQUEST,
                    "%s%s\nusage: kube-proxy render [--hostname-override=NODE] [--zone=ZONE] [--cluster-cidr=CIDR,...] "
                    "[--masquerade-all] "
                    "[--apply] [--cleanup] [--times] FILE... [--then FILE...]",
                    why, what);
}

static struct kerr *
read_nets(struct render *r, const char *list)
{
    AUTO_STRLIST parts = { 0 };

    strlist_split(&parts, list, ',');
    for (size_t i = 0; i < parts.len; i++)
        if (r->nnets == NETS_MAX || ip_net_parse(parts.items[i], &r->nets[r->nnets++]) < 0)
            return usage("not a list of networks: ", list);
    return NULL;
}

static struct kerr *
read_args(struct render *r, int argc, char *const *argv)
{
    struct strlist *files = &r->first;
    struct kerr *err = NULL;

    for (int i = 1; i < argc && !err; i++) {
        const char *a = argv[i];

        if (str_has_prefix(a, "--hostname-override="))
            r->node.name = strchr(a, '=') + 1;
        else if (str_has_prefix(a, "--zone="))
            r->node.zone = strchr(a, '=') + 1;
        else if (str_has_prefix(a, "--cluster-cidr="))
            err = read_nets(r, strchr(a, '=') + 1);
        else if (strcmp(a, "--masquerade-all") == 0)
            r->masquerade_all = true;
        else if (strcmp(a, "--apply") == 0)
            r->apply = true;
        else if (strcmp(a, "--cleanup") == 0)
            r->cleanup = true;
        else if (strcmp(a, "--times") == 0)
            r->times = true;
        else if (strcmp(a, "--then") == 0)
            files = &r->then;
        else if (a[0] == '-' && a[1])
            err = usage("unknown flag: ", a);
        else
            strlist_add(files, a);
    }
    if (!err && !r->first.len && !r->cleanup)
        err = usage("no file", "");
    return err;
}

static struct kerr *
load(struct object_files *objects, const struct strlist *files)
{
    for (size_t i = 0; i < files->len; i++) {
        AUTO_FREE char *text = NULL;
        size_t len;
        struct kerr *err =
            file_read(strcmp(files->items[i], "-") == 0 ? "/dev/stdin" : files->items[i], FILE_MAX, &text, &len);

        if (!err)
            err = object_files_read(objects, text, len, files->items[i]);
        if (err)
            return err;
    }
    return NULL;
}

static struct kerr *
emit(const struct render *r, struct nft_backend *nft, const struct sbuf *text)
{
    if (!r->apply) {
        fwrite(sbuf_str(text), 1, text->len, stdout);
        return NULL;
    }
    return nft_backend_apply(nft, sbuf_str(text));
}

static void
took(struct render *r, const char *what)
{
    uint64_t now = clock_mono_us();

    if (r->times && r->last_us)
        fprintf(stderr, "%-28s %8.2f ms\n", what, (double)(now - r->last_us) / 1000);
    r->last_us = clock_mono_us();
}

static struct nft_options
options(const struct render *r)
{
    return (struct nft_options){ .family = IP_V4,
                                 .masquerade_all = r->masquerade_all,
                                 .masquerade_mark = 1u << 14,
                                 .local = r->nnets ? NFT_LOCAL_NETS : NFT_LOCAL_UNKNOWN,
                                 .local_nets = r->nets,
                                 .nlocal_nets = r->nnets };
}

static struct kerr *
clean_affinity(struct nft_tables *tables, struct nft_backend *nft)
{
    AUTO_SBUF listing = { 0 }, text = { 0 };
    struct kerr *err;

    if (!nft || !nft_tables_affinity_suspect(tables))
        return NULL;
    err = nft_backend_list(nft, "list map ip " NFT_TABLE " affinity", &listing);
    if (err)
        return err;
    return nft_tables_stale_affinity(tables, sbuf_str(&listing), &text) ? nft_backend_apply(nft, sbuf_str(&text))
                                                                        : NULL;
}

static struct kerr *
render(struct render *r)
{
    struct nft_options opts = options(r);
    AUTO(nft_tables) *tables = nft_tables_new(&opts);
    AUTO(object_files) *objects = object_files_new();
    AUTO(nft_backend) *nft = NULL;
    AUTO_SBUF full = { 0 }, delta = { 0 }, warnings = { 0 };
    struct kerr *err = r->apply || r->cleanup ? nft_backend_new(&nft) : NULL;

    if (!err && r->cleanup)
        err = nft_backend_cleanup(nft);
    if (err || !r->first.len)
        return err;
    took(r, "");
    err = load(objects, &r->first);
    if (err)
        return err;
    took(r, "read the objects");
    object_files_to_tables(objects, &r->node, IP_V4, tables, &warnings);
    took(r, "service views");
    nft_tables_full(tables, &full);
    took(r, "text of all rules");
    err = emit(r, nft, &full);
    took(r, "load into the kernel");
    if (err || !r->then.len)
        return err;
    err = load(objects, &r->then);
    if (err)
        return err;
    object_files_to_tables(objects, &r->node, IP_V4, tables, &warnings);
    if (!r->apply)
        printf("# then:\n");
    took(r, "all service views again");
    if (nft_tables_delta(tables, &delta))
        err = emit(r, nft, &delta);
    took(r, "the difference, with kernel");
    if (warnings.len)
        fprintf(stderr, "warning: %s\n", sbuf_str(&warnings));
    return err ? err : clean_affinity(tables, nft);
}

int
render_main(int argc, char *const *argv)
{
    struct render r = { 0 };
    AUTO(kerr) *err = read_args(&r, argc, argv);

    if (!err)
        err = render(&r);
    strlist_done(&r.first);
    strlist_done(&r.then);
    if (err)
        fprintf(stderr, "kube-proxy render: %s\n", err->message);
    return err ? 1 : 0;
}
