package main

import (
	"strconv"
	"strings"
	"time"
)

// cron is when something begins: five fields as in a crontab, each a set of
// numbers as bits.
type cron struct {
	minute, hour, day, month, weekday uint64
	anyDay, anyWeekday                bool
}

// field is one of the five, with the numbers and names that it allows.
type field struct {
	name        string
	least, most int
	names       []string // of least and what follows
}

func fields() [5]field {
	return [5]field{
		{"minute", 0, 59, nil}, {"hour", 0, 23, nil}, {"day of the month", 1, 31, nil},
		{"month", 1, 12, []string{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}},
		{"day of the week", 0, 7, []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}},
	}
}

// badCron is what is wrong with an expression.
type badCron string

func (b badCron) Error() string { return string(b) }

// parseCron reads five fields: numbers, names of months and weekdays, ranges
// (1-5), steps (*/15, 8-18/2), and lists of them.
func parseCron(text string) (c cron, err error) {
	words := strings.Fields(text)
	if len(words) != 5 {
		return c, badCron(strconv.Quote(text) + " has " + strconv.Itoa(len(words)) + " fields: write minute, hour, day, month and weekday, as in \"0 22 * * mon-fri\"")
	}
	for i, to := range [5]*uint64{&c.minute, &c.hour, &c.day, &c.month, &c.weekday} {
		if *to, err = fields()[i].parse(words[i]); err != nil {
			return c, err
		}
	}
	if c.weekday&(1<<7) != 0 { // Sunday is 0 and 7
		c.weekday |= 1
	}
	c.anyDay, c.anyWeekday = strings.HasPrefix(words[2], "*"), strings.HasPrefix(words[4], "*")
	return c, nil
}

func (f field) parse(text string) (set uint64, err error) {
	for part := range strings.SplitSeq(text, ",") {
		rng, stepText, stepped := strings.Cut(part, "/")
		step := 1
		if stepped {
			if step, err = strconv.Atoi(stepText); err != nil || step < 1 {
				return 0, f.bad(part)
			}
		}
		low, high := f.least, f.most
		if rng != "*" {
			from, to, isRange := strings.Cut(rng, "-")
			if low = f.number(from); low < 0 {
				return 0, f.bad(part)
			}
			switch {
			case isRange:
				high = f.number(to)
			case !stepped:
				high = low
			}
			if high < low {
				return 0, f.bad(part)
			}
		}
		for v := low; v <= high; v += step {
			set |= 1 << v
		}
	}
	return set, nil
}

func (f field) bad(part string) error {
	return badCron(f.name + " " + strconv.Quote(part) + ": write " + strconv.Itoa(f.least) + " to " + strconv.Itoa(f.most) + ", a range, a step, or *")
}

// number reads one number or name; -1 for neither.
func (f field) number(text string) int {
	for i, name := range f.names {
		if strings.EqualFold(text, name) {
			return f.least + i
		}
	}
	if v, err := strconv.Atoi(text); err == nil && v >= f.least && v <= f.most {
		return v
	}
	return -1
}

// matches says whether it begins in this minute. Where both the day of the month
// and the weekday are given, one of them is enough, as in a crontab.
func (c *cron) matches(t time.Time) bool {
	has := func(set uint64, v int) bool { return set&(1<<v) != 0 }
	if !has(c.minute, t.Minute()) || !has(c.hour, t.Hour()) || !has(c.month, int(t.Month())) {
		return false
	}
	day, weekday := has(c.day, t.Day()), has(c.weekday, int(t.Weekday()))
	if c.anyDay || c.anyWeekday {
		return day && weekday
	}
	return day || weekday
}
