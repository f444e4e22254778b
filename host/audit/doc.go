// Package audit keeps who did what: entries in a log of the platform that
// nobody changes, and that ends after a week.
package audit
