// SPDX-License-Identifier: Apache-2.0
#include "kube-proxy/nft_backend.h"

#include <malloc.h>
#include <nftables/libnftables.h>
#include <string.h>

#include "common/base/klog.h"
#include "common/base/str.h"
#include "kube-proxy/nft_tables.h"

struct nft_backend {
    struct nft_ctx *ctx;
};

struct kerr *
nft_backend_new(struct nft_backend **ret)
{
    AUTO(nft_backend) *n = XNEW(struct nft_backend);
    AUTO_SBUF tables = { 0 };
    struct kerr *err;

    n->ctx = nft_ctx_new(NFT_CTX_DEFAULT);
    if (!n->ctx)
        return kerr_new(KERR_INTERNAL, "libnftables cannot be set up (nf_tables socket)");
    nft_ctx_buffer_output(n->ctx);
    nft_ctx_buffer_error(n->ctx);
    nft_ctx_output_set_flags(n->ctx, NFT_CTX_OUTPUT_NUMERIC_TIME);
    err = nft_backend_list(n, "list tables", &tables);
    if (err)
        return kerr_wrap(err,
                         "the kernel's packet filter (nf_tables) cannot be used; are we root, with CAP_NET_ADMIN?");
    *ret = steal_ptr(n);
    return NULL;
}

void
nft_backend_free(struct nft_backend *n)
{
    if (!n)
        return;
    if (n->ctx)
        nft_ctx_free(n->ctx);
    free(n);
}

/* nft marks the place of an error with lines of ~ and ^; one line is enough for a log. */
static struct kerr *
refused(struct nft_backend *n, const char *text)
{
    const char *why = str_safe(nft_ctx_get_error_buffer(n->ctx));
    size_t why_len = strcspn(why, "\n"), text_len = strcspn(text, "\n");

    if (text_len > 200)
        text_len = 200;
    return kerr_new(KERR_INTERNAL, "nftables refused the rules: %.*s (text begins: %.*s)", (int)why_len, why,
                    (int)text_len, text);
}

struct kerr *
nft_backend_apply(struct nft_backend *n, const char *text)
{
    log_v(6, "Applying rules", "text", text);
    if (nft_run_cmd_from_buffer(n->ctx, text) == 0) {
        (void)nft_ctx_get_output_buffer(n->ctx);
        return NULL;
    }
    return refused(n, text);
}

struct kerr *
nft_backend_list(struct nft_backend *n, const char *command, struct sbuf *ret)
{
    if (nft_run_cmd_from_buffer(n->ctx, command) != 0)
        return refused(n, command);
    sbuf_adds(ret, str_safe(nft_ctx_get_output_buffer(n->ctx)));
    return NULL;
}

bool
nft_backend_has_table(struct nft_backend *n, enum ip_family family)
{
    AUTO_SBUF tables = { 0 };
    AUTO(kerr) *err = nft_backend_list(n, family == IP_V4 ? "list tables ip" : "list tables ip6", &tables);

    return !err &&
           strstr(sbuf_str(&tables), family == IP_V4 ? "table ip " NFT_TABLE "\n" : "table ip6 " NFT_TABLE "\n");
}

struct kerr *
nft_backend_cleanup(struct nft_backend *n)
{
    return nft_backend_apply(n, "add table ip " NFT_TABLE "\ndelete table ip " NFT_TABLE "\n"
                                "add table ip6 " NFT_TABLE "\ndelete table ip6 " NFT_TABLE "\n");
}

void
nft_backend_trim(struct nft_backend *n)
{
    (void)nft_ctx_get_output_buffer(n->ctx);
    malloc_trim(0);
}
