/* Files that are part of the program. */
#ifndef ADMIN_ASSETS_H
#define ADMIN_ASSETS_H

#include "str.h"

/* Not to be freed. */
struct str asset_openapi(void);
struct str asset_dashboard(void);

#endif
