// SPDX-License-Identifier: Apache-2.0
/* http_client_private.h - libcurl handles with a client's credentials, shared by http_client.c and http_fetch.c. */
#ifndef CKUBE_NET_HTTP_CLIENT_PRIVATE_H
#define CKUBE_NET_HTTP_CLIENT_PRIVATE_H

#include <curl/curl.h>
#include <pthread.h>

#include "common/base/sbuf.h"
#include "common/net/http_client.h"
#include "common/net/tls_private.h"

struct http_multi;

/* One libcurl handle and what its callbacks fill. */
struct http_handle {
    struct http_handle *next;
    struct http_client *client;
    unsigned generation; /* of the TLS files when it was made */
    CURL *easy;
    struct curl_slist *headers; /* of the call under way */
    char *url;                  /* rewritten for a TLS server name; else NULL */
    struct curl_slist *connect_to;
    char *why; /* TLS explanation */
    char errbuf[CURL_ERROR_SIZE];
    /* the reply's head: "name\0value\0" each, and where they begin */
    struct sbuf head;
    size_t *rows;
    size_t nrows, rows_cap;
    bool head_over;
};

struct http_client {
    char *hop, *user_agent, *unix_socket, *proxy_url, *userpwd;
    struct tls_client *tls;
    struct tls_pem ca, cert, key;
    char *server_name;
    bool insecure;
    uint64_t connect_timeout_ms;
    size_t max_idle;

    pthread_mutex_t lock; /* guards all below */
    struct tls_pem token_source;
    char *token;
    uint64_t next_token_look_ms, next_files_look_ms;
    unsigned generation; /* goes up when a TLS file changes: connections made before are not used again */
    struct http_handle *idle;
    size_t nidle;
    struct http_multi *multis;
};

struct http_handle *http_handle_new(struct http_client *c);
void http_handle_free(struct http_handle *h);
size_t http_handle_on_header(char *line, size_t size, size_t n, void *handle); /* CURLOPT_HEADERFUNCTION */
/* Sets everything of one call but timeouts and the write callback. */
struct kerr *http_handle_prepare(struct http_handle *h, const struct http_call *call) MUST_CHECK;
/* Rows into h->head; caller frees the array. */
struct http_header *http_handle_rows(const struct http_handle *h, const char *text);
struct kerr *http_handle_error(struct http_handle *h, const struct http_call *call, CURLcode rc) MUST_CHECK;
void http_multis_free(struct http_multi *m); /* http_fetch.c */

#endif
