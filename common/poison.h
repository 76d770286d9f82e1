/* Included before everything (-include): functions that no file of ours may call. The system headers come
 * first, because some of them name these functions themselves. */
#ifndef COMMON_POISON_H
#define COMMON_POISON_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#pragma GCC poison strcpy strcat sprintf vsprintf strtok gets atoi atol atof

#endif
