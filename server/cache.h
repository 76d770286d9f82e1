/* The response cache's writing side: what only the cache process does (cache.c). Its readers and the mailbox
 * are in common/response_cache.h. */
#ifndef SERVER_CACHE_H
#define SERVER_CACHE_H

#include "heritage.h"
#include "response_cache.h"

#endif
