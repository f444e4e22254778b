// Command zone-spread is a placement plugin: it puts the instances of an app, and
// what is led, into as many zones as there are.
package main
