// Command kv-notify is a hook plugin: it keeps the last event of each app and
// node in the store, where a program can watch it.
package main
