// Package clock is the time that leases are measured with: it counts suspend
// and knows nothing of the wall clock, so neither a sleeping laptop, a paused
// virtual machine nor a wrong date makes a lease look longer than it is.
//
// On Linux the times are CLOCK_BOOTTIME and compare only inside one boot of one
// machine. All processes of that machine see the same clock, which is what lets
// the host hand a deadline to its guard. Never send such a time to another
// machine, never store it, never print it as a date.
package clock
