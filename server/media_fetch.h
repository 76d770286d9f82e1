/* Fetches what a request names by URL, for providers that take only bytes. Callers choose the URL, so private
 * addresses are refused (unless media.allow_private), redirects are not followed, size and time are bounded,
 * and no credential of ours goes along. */
#ifndef SERVER_MEDIA_FETCH_H
#define SERVER_MEDIA_FETCH_H

#include "request.h"

/* *data: base64 (memory of r->arena), *mime: as it was told, or sniffed. -1: *f is the caller's 400 (or a
 * 502). A URL that was fetched for an earlier attempt of this request is not fetched again. */
int media_fetch(struct request *r, struct str url, struct str *mime, struct str *data, struct failure *f);

#endif
