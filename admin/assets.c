/* Puts files into the program as they are, so that the document that is reviewed is the one that is served.
 * Paths are from the repository's root, where make runs; GNUmakefile names them as prerequisites. */
#include "assets.h"

/* clang-format off */
#define EMBED(name, file)                                                                                    \
    __asm__(".pushsection .rodata\n"                                                                         \
            ".global asset_" #name "_begin\nasset_" #name "_begin:\n"                                        \
            ".incbin \"" file "\"\n"                                                                         \
            ".global asset_" #name "_end\nasset_" #name "_end:\n.byte 0\n"                                   \
            ".popsection\n");                                                                                \
    extern const char asset_##name##_begin[] __attribute__((visibility("hidden")));                          \
    extern const char asset_##name##_end[] __attribute__((visibility("hidden")))
/* clang-format on */

EMBED(openapi, "admin/openapi.json");
EMBED(dashboard, "admin/dashboard.html");

static struct str between(const char *begin, const char *end)
{
    return (struct str){begin, (uintptr_t)end - (uintptr_t)begin};
}

struct str asset_openapi(void)
{
    return between(asset_openapi_begin, asset_openapi_end);
}

struct str asset_dashboard(void)
{
    return between(asset_dashboard_begin, asset_dashboard_end);
}
