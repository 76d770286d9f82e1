/* RFC 3339 times, by hand because strptime takes far more than the grammar allows. */
#include "rfc3339.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

/* Exactly n digits at s[at]. */
static int digits(struct str s, size_t at, size_t n, int *out)
{
    if (at + n > s.n)
        return -1;
    int v = 0;
    for (size_t i = at; i < at + n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return -1;
        v = v * 10 + (s.p[i] - '0');
    }
    *out = v;
    return 0;
}

static int month_days(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && leap ? 29 : days[month - 1];
}

static int date_of(struct str s, struct tm *tm)
{
    int year, month, day;
    if (s.n < 10 || digits(s, 0, 4, &year) || s.p[4] != '-' || digits(s, 5, 2, &month) || s.p[7] != '-' ||
        digits(s, 8, 2, &day))
        return -1;
    if (year < 1970 || month < 1 || month > 12 || day < 1 || day > month_days(year, month))
        return -1;
    tm->tm_year = year - 1900;
    tm->tm_mon = month - 1;
    tm->tm_mday = day;
    return 0;
}

bool rfc3339_is_date(struct str s)
{
    struct tm tm = {0};
    return s.n == 10 && !date_of(s, &tm);
}

/* "Z" or "+hh:mm" at the end of s, from `at` on: seconds east of UTC. */
static int offset_of(struct str s, size_t at, int *seconds)
{
    *seconds = 0;
    if (at + 1 == s.n && (s.p[at] == 'Z' || s.p[at] == 'z'))
        return 0;
    int hours, minutes;
    if (at + 6 != s.n || (s.p[at] != '+' && s.p[at] != '-') || digits(s, at + 1, 2, &hours) ||
        s.p[at + 3] != ':' || digits(s, at + 4, 2, &minutes) || hours > 23 || minutes > 59)
        return -1;
    *seconds = (hours * 3600 + minutes * 60) * (s.p[at] == '-' ? -1 : 1);
    return 0;
}

int rfc3339_parse(struct str s, int64_t *seconds)
{
    struct tm tm = {0};
    if (s.n < 20 || date_of(s, &tm) || (s.p[10] != 'T' && s.p[10] != 't' && s.p[10] != ' '))
        return -1;
    if (digits(s, 11, 2, &tm.tm_hour) || s.p[13] != ':' || digits(s, 14, 2, &tm.tm_min) || s.p[16] != ':' ||
        digits(s, 17, 2, &tm.tm_sec) || tm.tm_hour > 23 || tm.tm_min > 59 || tm.tm_sec > 60)
        return -1;
    size_t at = 19;
    if (s.p[at] == '.') {
        size_t first = ++at;
        while (at < s.n && s.p[at] >= '0' && s.p[at] <= '9')
            at++;
        if (at == first)
            return -1;
    }
    int east;
    if (at >= s.n || offset_of(s, at, &east))
        return -1;
    *seconds = (int64_t)timegm(&tm) - east;
    return *seconds < 0 ? -1 : 0;
}

static void format(char out[RFC3339_SIZE], int64_t seconds, int us)
{
    time_t t = (time_t)seconds;
    struct tm tm;
    char day[24] = "1970-01-01T00:00:00";
    if (gmtime_r(&t, &tm) && tm.tm_year + 1900 <= 9999)
        strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &tm);
    if (us >= 0)
        snprintf(out, RFC3339_SIZE, "%s.%06dZ", day, us % 1000000);
    else
        snprintf(out, RFC3339_SIZE, "%sZ", day);
}

void rfc3339_format(char out[RFC3339_SIZE], int64_t seconds)
{
    format(out, seconds, -1);
}

void rfc3339_format_us(char out[RFC3339_SIZE], int64_t us)
{
    if (us < 0)
        us = 0;
    format(out, us / 1000000, (int)(us % 1000000));
}
