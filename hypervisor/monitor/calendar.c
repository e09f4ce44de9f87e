/* Days and dates of the Gregorian calendar, from year 0 on. */
#include "monitor.h"

static const uint16_t days_before[13] = { 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365 };

static bool is_leap(uint32_t year) { return year % 4 == 0 && (year % 100 || year % 400 == 0); }

static uint32_t days_before_year(uint32_t year)
{
	return 365 * year + (year + 3) / 4 - (year + 99) / 100 + (year + 399) / 400;
}

/* Days of `year` before the month that follows `month` months. */
static uint32_t days_before_month(uint32_t year, uint32_t months)
{
	return days_before[months] + (months > 1 && is_leap(year));
}

void date_of(uint32_t day, struct date *date)
{
	uint32_t year = (uint32_t)((uint64_t)day * 400 / 146097), month = 1;

	while (days_before_year(year + 1) <= day)
		year++;
	while (days_before_year(year) > day)
		year--;
	day -= days_before_year(year);
	while (days_before_month(year, month) <= day)
		month++;
	*date = (struct date){ year, month, day - days_before_month(year, month - 1) + 1 };
}

/* False where there is no such date. */
bool day_of(const struct date *date, uint32_t *day)
{
	uint32_t first;

	if (date->month < 1 || date->month > 12)
		return false;
	first = days_before_month(date->year, date->month - 1);
	if (date->day < 1 || date->day > days_before_month(date->year, date->month) - first)
		return false;
	*day = days_before_year(date->year) + first + date->day - 1;
	return true;
}
