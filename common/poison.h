/* Included before everything (-include): functions that no file of ours may call. The system headers come
 * first, because some of them name these functions themselves. */
#ifndef COMMON_POISON_H
#define COMMON_POISON_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* clang's fortified headers have some as macros, which can't be poisoned; the functions behind them are */
#undef strcpy
#undef strcat
#undef sprintf
#undef vsprintf

#pragma GCC poison strcpy strcat sprintf vsprintf strtok gets atoi atol atof

#endif
